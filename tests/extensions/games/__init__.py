"""Tests of `extensions.games`."""
