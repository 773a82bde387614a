"""Tests of the sans-IO websocket, a module each."""
