"""Games of OpenSpiel, played in a process of their own that may die."""
