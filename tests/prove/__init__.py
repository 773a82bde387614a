"""Proofs: a module a topic, run as ``python3 dev.py prove TOPIC``. A promise is shown by a run, not by an argument."""
