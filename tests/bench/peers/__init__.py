"""Our relay beside others: one load generator, one sweep, servers pinned to one core and the load to another.

See ``tests/bench/peers.md`` for how to measure and what the figures mean.
"""
