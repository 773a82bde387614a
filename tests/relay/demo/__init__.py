"""The demo: its checker, its processes, its story."""
