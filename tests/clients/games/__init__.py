"""Tests of the player's side of games."""
