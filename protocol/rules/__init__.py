"""Rules of games, pure, shared by players, referee and whoever replays a transcript."""
