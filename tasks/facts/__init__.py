"""Read a cluster: one request each, raw answers parsed into plain data."""
