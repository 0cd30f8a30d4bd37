"""envoyfleet: the tasks that deploys call, see docs/how-a-run-works.md."""

import sys

# pyinfra (pyinfra_cli/main.py of 3.10) turns this off for the sake of deploy files, which are never
# imported: each run compiled 240 modules anew, a quarter of what a run on few clusters costs.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
