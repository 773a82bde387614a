"""The verbs of the relay, one file for each."""
