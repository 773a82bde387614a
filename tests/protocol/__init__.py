"""Tests of `protocol`, one file for each of its modules."""
