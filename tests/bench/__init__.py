"""Measurements that the goals of the design are held against; each runs alone: ``python -m tests.bench.<name>``."""
