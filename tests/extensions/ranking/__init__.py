"""Tests of `extensions/ranking`."""
