"""What benchmarks/side_by_side.py compares: envoyfleet, Ansible, bash around kubectl and helm."""
