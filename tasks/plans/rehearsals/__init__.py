"""The rehearsal of an upgrade on an empty cluster: what is copied there, and what it showed."""
