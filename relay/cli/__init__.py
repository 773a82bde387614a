"""Verbs of the command ``chappe`` that belong to the relay, one per file."""
