"""The relay: orders, stores and delivers frames that it cannot read."""
