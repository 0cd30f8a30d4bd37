"""
What goes wrong between a run and its API servers: a proxy that does it, one kind at a time, and
what each deploy makes of it.

    python -m tests.faults LAB        at a lab's real cluster, and docs/faults.md anew
"""
