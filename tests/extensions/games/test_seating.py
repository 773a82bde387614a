"""Offers and seats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from extensions.games.seating import open_table, refusal, seated, terms_fault
from extensions.games.table import Phase, Player, Refused, Terms, Wish
from protocol.plies import Fault
from protocol.rules.clocks import Spec
from protocol.rules.games import GAMES
from tests.extensions.games.tables import JUDGE, player
from tests.protocol.playing import KEYS, REFEREE

KEY = REFEREE.public


@pytest.mark.parametrize(
    "terms",
    [
        Terms("mornington crescent"),
        Terms("chess", seats=3),
        Terms("nim", params=(("heaps", 99),)),
        Terms("nim", params=(("heaps", 3), ("heaps", 4))),
        Terms("nim", params=(("x" * 100, 3),)),
        Terms("chess", clock=Spec(1)),
        Terms("chess", life_ms=0),
        Terms("chess", life_ms=10**12),
        Terms("chess", invited=(player(0).account,)),
    ],
)
def test_terms_that_cannot_stand(terms: Terms) -> None:
    refused = terms_fault(GAMES, terms, player(0))
    assert refused is not None
    assert (refused.fault, refused.account) == (Fault.BAD_PARAMETERS, player(0).account)


def test_terms_that_can() -> None:
    assert terms_fault(GAMES, Terms("chess"), player(0)) is None


@pytest.mark.parametrize(
    ("who", "fault"),
    [
        (player(0), Fault.DUPLICATE),
        (Player(b"x" * 32, (), b"e" * 32), Fault.MALFORMED),
        (Player(b"x" * 32, (KEYS[0].public,), b"e" * 32), Fault.MALFORMED),
        (Player(b"x" * 32, (KEYS[1].public,) * 2, b"e" * 32), Fault.MALFORMED),
        (Player(b"x" * 32, (KEYS[1].public,), b"e"), Fault.MALFORMED),
    ],
)
def test_who_cannot_sit_down(who: Player, fault: Fault) -> None:
    table = open_table(KEY, Terms("chess"), (player(0),), 0, bytes(64))
    refused = refusal(table, who)
    assert isinstance(refused, Refused)
    assert refused.fault is fault


def test_when_one_can_sit_down() -> None:
    table = open_table(KEY, Terms("chess", invited=(player(1).account,)), (player(0),), 0, bytes(64))
    assert refusal(table, player(1)) is None
    stranger = refusal(table, player(2))
    assert stranger is not None
    assert stranger.fault is Fault.NOT_SEATED
    late = refusal(replace(table, phase=Phase.PLAYING), player(1))
    assert late is not None
    assert late.fault is Fault.OVER


@pytest.mark.parametrize(("wish", "first"), [(Wish.FIRST, 0), (Wish.LAST, 1)])
def test_who_offers_sits_where_it_wants(wish: Wish, first: int) -> None:
    table = open_table(KEY, Terms("chess", wish=wish), (player(0), player(1)), 0, bytes(64))
    genesis, players = seated(JUDGE, table, 5)
    assert players[0] == player(first)
    assert genesis.seats[0].account == player(first).account
    assert genesis.entropy == tuple(who.entropy for who in players)
    assert genesis.started_ms == 5


def test_chance_decides_the_seats_fairly() -> None:
    first = [
        seated(JUDGE, open_table(KEY, Terms("chess"), (player(0), player(1)), 0, bytes([at]) * 64), 0)[1][0]
        for at in range(64)
    ]
    assert 16 < sum(who == player(0) for who in first) < 48


def test_a_rematch_keeps_its_order() -> None:
    table = open_table(KEY, Terms("chess", wish=Wish.LAST), (player(0), player(1)), 0, bytes(64), b"m" * 32)
    genesis, players = seated(JUDGE, table, 0)
    assert (players[0], genesis.rematch_of) == (player(0), b"m" * 32)


def test_too_little_that_is_fresh() -> None:
    with pytest.raises(ValueError, match="64 fresh"):
        open_table(KEY, Terms("chess"), (), 0, bytes(63))
