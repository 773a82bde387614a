"""The verbs of clients, one file for each."""
