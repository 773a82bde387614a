"""Tests of `protocol.mls`."""
