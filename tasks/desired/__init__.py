"""What the inventory wants of a cluster, rendered, before anything is connected to."""

from tasks.desired.objects import address_notes as address_notes
from tasks.desired.objects import logs as logs
from tasks.desired.objects import objects as objects
from tasks.desired.values import values as values
from tasks.desired.wanted import Wanted as Wanted
from tasks.desired.wanted import wanted as wanted
