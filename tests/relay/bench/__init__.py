"""What `chappe bench` is made of."""
