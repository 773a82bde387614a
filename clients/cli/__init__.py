"""Verbs of the command ``chappe`` that belong to clients, and the command itself."""
