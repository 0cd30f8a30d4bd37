"""
Bring clusters that were made by hand into the inventory: read what each has into keys and files,
prove that they render to the same, and, when asked, hand the objects over to envoyfleet.

    pyinfra inventory/prod.py deploys/adopt.py --limit weu-9
    pyinfra inventory/prod.py deploys/adopt.py --limit weu-9 --data take=true --dry
"""

from tasks import adoption
from tasks.fleet import run
from tasks.fleet.rings import rings

if run.cluster().take:
    for _ring in rings(max_failed=0):
        adoption.take()
else:
    adoption.of_the_fleet()
