"""Tests of the verbs of clients."""
