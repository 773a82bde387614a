"""Tests of the typed messages: the registry, and a module for each family."""
