"""
Walk through a runbook on a cluster: each step looks and judges; what cures is shown, and done when
it is approved. Reads only until then.

    pyinfra inventory/prod.py deploys/runbook.py --limit weu-1 --data name=gateway-not-responding
"""

from tasks import runbook

runbook.of_the_fleet()
