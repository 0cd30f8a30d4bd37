"""Reach a cluster: how a context becomes an HTTP session, and how a command becomes one request."""
