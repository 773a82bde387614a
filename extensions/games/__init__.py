"""The referee of games: a pure core; rules, clocks and transcripts are in `protocol`, since players share them."""
