"""Tests of who may come, and how much each may use."""
