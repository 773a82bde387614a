"""A small cinema, as MovieLens would write it down: readers who go through one shelf after the other."""

from __future__ import annotations

import random
from pathlib import Path


def write(path: Path, readers: int = 30, shelves: int = 6, seed: int = 1) -> None:
    """Each reader takes two shelves of eight films, mostly in order, in a session of its own."""
    chance = random.Random(seed)
    rows = []
    for reader in range(readers):
        at = 1000 * reader
        for shelf in chance.sample(range(shelves), 2):
            for film in range(8):
                if chance.random() < 0.9:
                    at += chance.randrange(1, 30)
                    rows.append(f"{reader + 1}\t{shelf * 8 + film + 1}\t{chance.randrange(1, 6)}\t{at}\n")
    chance.shuffle(rows)
    path.write_text("".join(rows))
