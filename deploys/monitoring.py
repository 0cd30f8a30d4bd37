"""
Monitoring of every cluster of an inventory: monitors, rules, receivers and dashboards; and whether
Prometheus, Alertmanager and Grafana really have them. Exit 3 where they do not.

    pyinfra inventory/prod.py deploys/monitoring.py --dry --diff
"""

from tasks import monitoring
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    monitoring.provision()
