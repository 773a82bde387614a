"""Who plays whom among those who seek an opponent: near in rating, the nearer the less they have waited. Pure.

A rating band widens with the wait, so that nobody waits for ever. Whoever has sat first less often sits first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from extensions.games.table import Player, Terms, Wish

BAND: Final = 100.0  # rating points, at once: a score of about 64 % is expected of the stronger
WIDER_PER_S: Final = 10.0  # after a minute and a half a thousand points, which is everybody
AGAIN_MS: Final = 2000  # how often it is looked whether bands that have widened meet
LIFE_MS: Final = 30_000  # until a table that was found is taken; else its players seek again


@dataclass(frozen=True, slots=True)
class Seeker:
    """Somebody who wants to play. ``balance``: how much more often first than last, in this game."""

    player: Player
    terms: Terms  # without wish, invitation and life
    rating: float
    balance: int
    since_ms: int


def band(seeker: Seeker, now_ms: int) -> float:
    """How far away in rating an opponent may be by now."""
    return BAND + WIDER_PER_S * max(0, now_ms - seeker.since_ms) / 1000


def fits(one: Seeker, other: Seeker, now_ms: int) -> bool:
    """Whether two may play: the same game on the same terms, and within the band of who has waited longer."""
    if one.terms != other.terms or one.player.account == other.player.account:
        return False
    return abs(one.rating - other.rating) <= max(band(one, now_ms), band(other, now_ms))


def pairs(seekers: Sequence[Seeker], now_ms: int) -> list[tuple[Seeker, Seeker]]:
    """Whoever has waited longest chooses first, and takes the nearest in rating."""
    waiting = sorted(seekers, key=lambda seeker: (seeker.since_ms, seeker.player.account))
    found: list[tuple[Seeker, Seeker]] = []
    while waiting:
        one = waiting.pop(0)
        near = [other for other in waiting if fits(one, other, now_ms)]
        if near:
            other = min(near, key=lambda seeker: (abs(seeker.rating - one.rating), seeker.since_ms))
            waiting.remove(other)
            found.append((one, other))
    return found


def wish(one: Seeker, other: Seeker) -> Wish:
    """Where the first of two sits."""
    if one.balance == other.balance:
        return Wish.RANDOM
    return Wish.FIRST if one.balance < other.balance else Wish.LAST
