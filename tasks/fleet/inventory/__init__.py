"""
The data of a cluster in an inventory: every key, its type, its default, and what it means.

All clusters are checked before the first connection; docs/inventory.md is the same table for
readers.
"""

from tasks.fleet.inventory.base import Strict as Strict
from tasks.fleet.inventory.certificates import Certificate as Certificate
from tasks.fleet.inventory.certificates import Issuer as Issuer
from tasks.fleet.inventory.cluster import Cluster as Cluster
from tasks.fleet.inventory.dynamic_routing import DynamicRoute as DynamicRoute
from tasks.fleet.inventory.gateways import Gateway as Gateway
from tasks.fleet.inventory.gateways import PublicIp as PublicIp
from tasks.fleet.inventory.gateways import Route as Route
from tasks.fleet.inventory.limits import Limits as Limits
from tasks.fleet.inventory.monitoring import Grafana as Grafana
from tasks.fleet.inventory.monitoring import Monitoring as Monitoring
from tasks.fleet.inventory.monitoring import Objectives as Objectives
from tasks.fleet.inventory.monitoring import Receiver as Receiver
from tasks.fleet.inventory.monitoring import Workspace as Workspace
from tasks.fleet.inventory.proxies import Images as Images
from tasks.fleet.inventory.proxies import Proxy as Proxy
from tasks.fleet.inventory.reading import duplicates as duplicates
from tasks.fleet.inventory.reading import parsed as parsed
from tasks.fleet.inventory.reading import past as past
from tasks.fleet.inventory.reading import problems as problems
from tasks.fleet.inventory.reading import together as together
from tasks.fleet.inventory.runs import Backup as Backup
from tasks.fleet.inventory.runs import Notification as Notification
from tasks.fleet.inventory.teams import Team as Team
