"""envoyfleet: the tasks that deploys call, see docs/how-a-run-works.md."""
