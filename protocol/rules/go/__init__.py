"""Go: rules, score, and SGF."""
