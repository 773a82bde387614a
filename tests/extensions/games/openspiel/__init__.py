"""OpenSpiel behind the seam of all games."""
