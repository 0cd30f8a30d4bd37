"""The rights of each deploy on a cluster, see docs/rights.md."""
