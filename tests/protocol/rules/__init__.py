"""Tests of `protocol.rules`."""
