"""Tests of `extensions`, one file for each of its modules."""
