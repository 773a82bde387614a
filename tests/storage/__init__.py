"""Tests of `storage`, one file for each of its modules."""
