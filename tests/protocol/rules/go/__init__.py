"""Tests of ``protocol.rules.go``."""
