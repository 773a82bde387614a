"""Chess after the FIDE Laws of Chess: positions, moves, notation, games, draws."""
