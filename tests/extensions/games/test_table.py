"""What the referee knows and does, as values."""

from __future__ import annotations

from extensions.games.table import Again, Phase, Table, Terms, Wish
from tests.extensions.games.tables import player


def test_defaults() -> None:
    table = Table(b"m" * 32, Terms("chess"), (player(0),), 0, b"seed" * 8)
    assert (table.phase, table.terms.wish, table.terms.seats) == (Phase.OFFERED, Wish.RANDOM, 2)


def test_secrets_are_not_printed() -> None:
    table = Table(b"m" * 32, Terms("chess"), (player(0),), 0, b"seed" * 8)
    assert "seed" not in repr(table).replace("seed=", "")
    assert "entropy" not in repr(player(0))
    assert "fresh" not in repr(Again(player(0), b"fresh" * 12))
