"""Pairing by rating, wait and colour."""

from __future__ import annotations

from extensions.games.pairing import Seeker, band, fits, pairs, wish
from extensions.games.table import Player, Terms, Wish

CHESS = Terms("chess")


def seeker(name: str, rating: float, since_s: int = 0, *, balance: int = 0, terms: Terms = CHESS) -> Seeker:
    player = Player(name.encode().ljust(32, b"_"), (b"d" * 32,), b"e" * 32)
    return Seeker(player, terms, rating, balance, since_s * 1000)


def test_the_band_widens_with_the_wait() -> None:
    one, other = seeker("a", 1500), seeker("b", 1750, 14)
    assert (band(one, 0), band(one, 60_000)) == (100, 700)
    assert band(other, 0) == 100
    assert not fits(one, other, 14_000)
    assert fits(one, other, 15_000)
    assert fits(other, one, 15_000)


def test_only_on_the_same_terms_and_with_others() -> None:
    one = seeker("a", 1500)
    assert not fits(one, seeker("b", 1500, terms=Terms("go")), 0)
    assert not fits(one, seeker("b", 1500, terms=Terms("chess", rated=True)), 0)
    assert not fits(one, seeker("a", 1500), 0)


def test_the_longest_wait_chooses_and_takes_the_nearest() -> None:
    a, b, c, d = seeker("a", 1500, 9), seeker("b", 1590, 8), seeker("c", 1520, 10), seeker("d", 1580, 10)
    assert pairs([a, b, c, d], 10_000) == [(b, d), (a, c)]
    assert pairs([a], 10_000) == []
    assert pairs([], 0) == []


def test_who_has_sat_first_less_often_sits_first() -> None:
    assert wish(seeker("a", 1500, balance=-1), seeker("b", 1500)) is Wish.FIRST
    assert wish(seeker("a", 1500, balance=2), seeker("b", 1500)) is Wish.LAST
    assert wish(seeker("a", 1500), seeker("b", 1500)) is Wish.RANDOM
