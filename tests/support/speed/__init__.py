"""What ``tests.prove.speed`` measures."""
