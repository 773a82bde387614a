"""A small world for tests of the ranker: posts, readers, and what they do, from a seed."""

from __future__ import annotations

import random

from extensions.ranking.events import AnyEvent, Kind, Post, Signal
from extensions.ranking.ranker import Ranker

NOW = 1_700_000_000_000
HOUR = 3_600_000
ANN, BOB = b"ann", b"bob"
_KINDS: tuple[Kind, ...] = ("view", "view", "dwell", "like", "share", "reply", "hide", "finish", "open")


def posts(count: int, authors: int = 12, tags: int = 5) -> list[Post]:
    """Posts, one a minute, the last one now."""
    return [
        Post(b"p%04d" % n, b"author%d" % (n % authors), NOW - 60_000 * (count - n), (f"tag{n % tags}",), words=40)
        for n in range(count)
    ]


def signals(count: int, of: int, readers: int = 10, seed: int = 1) -> list[AnyEvent]:
    """What readers do with the first ``of`` posts."""
    chance = random.Random(seed)
    return [
        Signal(
            b"r%d" % chance.randrange(readers),
            b"p%04d" % chance.randrange(of),
            chance.choice(_KINDS),
            float(chance.randrange(20)),
            NOW + 1000 * n,
        )
        for n in range(count)
    ]


def lived(post_count: int = 60, signal_count: int = 300) -> Ranker:
    """A ranker that has seen that world."""
    ranker = Ranker(seed=1)
    for event in (*posts(post_count), *signals(signal_count, post_count)):
        ranker.apply(event)
    return ranker
