"""Tests of feeds in the client."""
