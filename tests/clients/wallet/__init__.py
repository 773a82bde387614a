"""Tests of ``clients.wallet``."""
