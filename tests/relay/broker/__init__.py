"""Tests of `relay`, one file for each of its modules."""
