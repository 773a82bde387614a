"""Flows end to end: whole relays on real sockets."""
