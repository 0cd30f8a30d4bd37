"""
Executed by pyinfra before it reads the inventory: makes its run a fleet run, see
tasks/fleet/run.py.
"""

from tasks.fleet.run import begin

begin()
