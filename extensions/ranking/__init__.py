"""Ranking: candidates, learning, bridging, slate. Pure: `worker` alone speaks to a relay."""
