"""Tests of several devices of one account."""
