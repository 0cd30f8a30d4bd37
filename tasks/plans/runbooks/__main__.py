"""Prints docs/runbooks.md."""

import sys

from tasks.plans.runbooks import page

if __name__ == "__main__":
    sys.stdout.write(page())
