"""Ratings, and who has sat first how often: what a round reads of them, and what it has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from extensions.games import rows
from extensions.games.ratings import Rating, rate_match
from protocol.rules.base import Result


@dataclass(frozen=True, slots=True)
class Standing:
    """A rating and how many games it rests on."""

    rating: Rating
    games: int


class Standings:
    """Of one round, on top of what the database has. ``query`` blocks."""

    def __init__(self, query: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._query = query
        self._changed: dict[tuple[bytes, str], Standing] = {}
        self._colours: list[tuple[bytes, str, int]] = []

    def of(self, account: bytes, pool: str) -> Standing:
        """What is thought of a player. ``pool``: the game."""
        known = self._changed.get((account, pool))
        if known is not None:
            return known
        for rating, deviation, volatility, games in self._query(rows.RATING, (account, pool)):
            return Standing(Rating(rating, deviation, volatility), games)
        return Standing(Rating(), 0)

    def balance(self, account: bytes, pool: str) -> int:
        """How much more often first than last, in matches of two that have ended."""
        return next((balance for (balance,) in self._query(rows.BALANCE, (account, pool))), 0)

    def ended(self, pool: str, accounts: tuple[bytes, ...], outcome: Result, *, rated: bool) -> dict[bytes, Standing]:
        """A match has ended; the ratings that it has changed, by account."""
        if len(accounts) != 2:
            return {}
        self._colours += [(accounts[0], pool, 1), (accounts[1], pool, -1)]
        if not rated or not outcome.points:
            return {}
        one, other = (self.of(account, pool) for account in accounts)
        after = rate_match((one.rating, other.rating), outcome)
        for account, before, rating in zip(accounts, (one, other), after, strict=True):
            self._changed[account, pool] = Standing(rating, before.games + 1)
        return {account: self._changed[account, pool] for account in accounts}

    def write(self, db: sqlite3.Connection) -> None:
        """Write what was changed; runs in the worker's transaction."""
        for account, pool, step in self._colours:
            rows.put_colour(db, account, pool, step)
        for (account, pool), standing in self._changed.items():
            r = standing.rating
            rows.put_rating(db, (account, pool, r.rating, r.deviation, r.volatility, standing.games))
