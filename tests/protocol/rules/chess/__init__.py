"""Tests of `protocol.rules.chess`."""
