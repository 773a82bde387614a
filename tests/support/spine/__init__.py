"""What the proof of the spine runs: rooms of real processes, and what is done to them."""
