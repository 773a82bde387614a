"""The protocol as pure functions: frames, sessions, encryption, rules. No I/O, no clock, no randomness of its own."""
