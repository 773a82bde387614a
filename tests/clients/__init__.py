"""Tests of `clients`, one file for each of its modules."""
