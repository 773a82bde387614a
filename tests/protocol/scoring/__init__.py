"""Tests of `protocol/scoring`."""
