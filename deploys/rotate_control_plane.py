"""
Give the controller and its proxies a new authority and new certificates where the ones they have
are due, ring by ring, while every proxy keeps its configuration stream.

    pyinfra inventory/prod.py deploys/rotate_control_plane.py --dry --diff
"""

from tasks import control_plane
from tasks.fleet.rings import rings

for _ring in rings(max_failed=0):
    control_plane.rotate()
