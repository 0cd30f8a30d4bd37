"""Act on a cluster: read, decide, yield what is to change, and nothing where nothing is."""
