"""How relays of a cluster tell each other about new entries: a hint, never the truth."""
