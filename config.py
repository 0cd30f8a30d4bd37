"""
Executed by pyinfra before it reads the inventory: makes its run a fleet run, see
tasks/fleet/begin.py.
"""

from tasks.fleet.begin import begin

begin()
