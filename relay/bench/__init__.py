"""``chappe bench``: what a relay does for people under load, seen from outside."""
