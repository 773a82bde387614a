"""Crazy eights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules.base import IllegalAction, Result
from protocol.rules.eights import DECK, CrazyEights, Eights
from tests.protocol.rules.random_games import walk

GAME = CrazyEights()


@pytest.mark.parametrize(("seats", "size"), [(2, 7), (3, 5), (5, 5)])
def test_the_deal(seats: int, size: int) -> None:
    state = GAME.initial({}, seats, b"k" * 32)
    assert [len(hand) for hand in state.hands] == [size] * seats
    cards = [*state.stock, state.top, *(card for hand in state.hands for card in hand)]
    assert sorted(cards) == sorted(DECK)
    assert state.top[0] != "8"
    assert state == GAME.initial({}, seats, b"k" * 32)
    assert state != GAME.initial({}, seats, b"l" * 32)


HAND = Eights((("2s", "8h", "9d"), ("Ks", "Kd")), ("3c", "4c"), "2h", "h")


def test_what_fits() -> None:
    assert GAME.actions(HAND, 0) == ("2s", "8h-s", "8h-h", "8h-d", "8h-c", "draw")
    assert GAME.actions(HAND, 1) == ()
    named = GAME.apply(HAND, 0, "8h-d")
    assert (named.top, named.suit, named.mover) == ("8h", "d", 1)
    assert GAME.actions(named, 1) == ("Kd", "draw")


def test_drawing_and_passing() -> None:
    drawn = GAME.apply(HAND, 0, "draw")
    assert (drawn.hands[0], drawn.mover, drawn.drawn) == (("2s", "3c", "8h", "9d"), 0, True)
    assert "draw" not in GAME.actions(drawn, 0)
    passed = GAME.apply(drawn, 0, "pass")
    assert (passed.mover, passed.passes, passed.drawn) == (1, 0, False)


def test_the_end() -> None:
    state = replace(HAND, hands=(("2s",), ("Ks",)))
    over = GAME.apply(state, 0, "2s")
    assert GAME.result(over) == Result((2, 0), "no cards left")
    assert GAME.turn(over) == ()
    stuck = replace(HAND, hands=(("9d",), ("Ks",)), stock=())
    stuck = GAME.apply(GAME.apply(stuck, 0, "pass"), 1, "pass")
    assert GAME.result(stuck) == Result((2, 0), "nobody can play: the lowest hand")
    alike = replace(stuck, hands=(("Kc",), ("Ks",)))
    assert GAME.result(alike) == Result((1, 1), "nobody can play: the lowest hand")
    assert GAME.flag(HAND, 1) == Result((2, 0), "time")


def test_what_each_sees() -> None:
    assert GAME.observe(HAND, 0) == b"2h h / 3 2 / 2 / 0 / 2s 8h 9d"
    assert GAME.observe(HAND, None) == b"2h h / 3 2 / 2 / 0 /"
    assert b"Kd" not in GAME.observe(HAND, 0)


@pytest.mark.parametrize("action", ["9d", "8h", "8h-x", "pass", "Ks", ""])
def test_what_is_not_legal(action: str) -> None:
    with pytest.raises(IllegalAction):
        GAME.apply(HAND, 0, action)


@given(st.integers(), st.integers(2, 5))
def test_random_games(seed: int, seats: int) -> None:
    walk(GAME, seed, seats=seats)
