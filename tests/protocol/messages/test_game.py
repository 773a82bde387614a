"""``game.*``: matches between players and the referee."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.limits import GAME_SEATS_MAX, GAME_SIGNED_BYTES_MAX
from protocol.messages import game
from protocol.plies import REFEREE_FROM, Kind
from tests.protocol.messages.family import check_family, refuses

KEY = b"k" * 32
OFFER = {"game": "chess", "seats": 2, "clock": "none", "devices": [KEY], "entropy": KEY}


def test_the_family() -> None:
    statements = {"move", "commit", "reveal", "resign", "draw", "refuse", "claim", "takeback", "abort"}
    others = {"offer", "table", "accept", "decline", "start", "entry", "shown", "refused", "cheat", "result", "rematch"}
    others |= {"seek", "fetch", "watch", "closed", "rating"}
    check_family(game, "game", statements | others)


def test_every_statement_has_its_kind() -> None:
    assert sorted(game.KIND_OF.values()) == [kind for kind in Kind if kind < REFEREE_FROM]
    assert game.KIND_OF[game.Move] == Kind.MOVE
    assert game.KIND_OF[game.Refuse] == Kind.DECLINE


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("game.offer", {**OFFER, "game": ""}),
        ("game.offer", {**OFFER, "devices": []}),
        ("game.offer", {**OFFER, "entropy": b"short"}),
        ("game.offer", {**OFFER, "wish": 3}),
        ("game.offer", {**OFFER, "seats": GAME_SEATS_MAX + 1}),
        ("game.offer", {**OFFER, "params": [["a", 1.5]]}),
        ("game.offer", {**OFFER, "params": [["a", "b" * 101]]}),
        ("game.accept", {"match": KEY}),
        ("game.move", {"match": KEY, "signed": b""}),
        ("game.move", {"match": KEY, "signed": bytes(GAME_SIGNED_BYTES_MAX + 1)}),
        ("game.result", {"match": KEY, "points": [3, 0], "reason": "", "link": KEY}),
        ("game.entry", {"match": KEY, "ply": -1, "entry": b"e"}),
    ],
)
def test_what_is_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
