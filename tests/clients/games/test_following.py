"""Following a match: what is believed, and what is not."""

from __future__ import annotations

import msgspec
import pytest

from clients.games.following import HOLDS, Following, replayed, view
from extensions.games import table as T
from protocol.plies import Fault, Kind, MatchError
from protocol.rules.base import Result
from protocol.rules.clocks import parse_spec
from protocol.rules.games import GAMES
from protocol.transcript import Genesis, Ruling, open_signed, sign
from tests.extensions.games.tables import Evening, evening
from tests.protocol.playing import REFEREE

FIVE = parse_spec("300+3", 500)


def listener(one: Evening, seat: int) -> Following:
    (started,) = one.got(T.Started)
    return Following(started.genesis, seat, 0, started.observations[seat])


def hears(following: Following, one: Evening, now_ms: int = 0) -> None:
    for logged in one.got(T.Logged):
        seat = following.seat
        following.hear(logged.entry, logged.observations[seat], logged.salts[seat], now_ms)


def test_an_open_game() -> None:
    one = evening(clock=FIVE)
    white, black = listener(one, 0), listener(one, 1)
    assert white.position(0).legal == tuple(str(cell) for cell in range(9))
    assert black.position(0).legal == ()
    for at, action in enumerate("031"):
        one.moves(action)
        hears(white, one, at * 1000)
        hears(black, one, at * 1000)
    position = black.position(5000)
    assert (position.turn, position.last and position.last.action, position.ply) == ((1,), "1", 3)
    assert position.clocks_ms[1] == 297_000
    assert position.clocks_ms[0] == white.match.clocks.left_ms[0]  # type: ignore[union-attr]
    said = black.statement(Kind.MOVE, "4", False, 5000)
    assert (said.ply, said.seat, said.think_ms) == (3, 1, 3000)
    assert black.statement(Kind.RESIGN, "", False, 5000).think_ms is None
    one.say(1, Kind.RESIGN)
    hears(black, one)
    assert black.position(0).outcome == Result((2, 0), "resignation")
    assert black.position(0).turn == ()
    assert black.audit() == HOLDS
    assert black.transcript().startswith(b"\x93\xabchappe-game")
    again = replayed(black.signed, 1, black.entries, 7, black._first_seen, b"")
    assert (again.match, again.heard_ms) == (black.match, 7)


def test_a_game_with_hidden_hands() -> None:
    one = evening("eights", clock=FIVE)
    mine = listener(one, 0)
    assert mine.match is None
    assert mine.position(0).clocks_ms == (None, None)
    while one.reason == "":
        seat = GAMES["eights"].turn(one.table.log.match.state)[0]  # type: ignore[union-attr]
        position = mine.position(0)
        assert position.turn == (seat,)
        legal = GAMES["eights"].actions(one.table.log.match.state, seat)  # type: ignore[union-attr]
        assert position.legal == (legal if seat == 0 else ())
        one.moves(legal[0])
        hears(mine, one, 0)
    position = mine.position(10_000)
    assert position.outcome is not None
    assert position.outcome.points == one.table.log.match.outcome.points  # type: ignore[union-attr]
    assert (position.turn, position.legal, position.is_open) == ((), (), False)
    assert all(position.clocks_ms)
    assert mine.audit() == HOLDS
    again = replayed(mine.signed, 0, mine.entries, 0, mine._first_seen, mine.seen)
    assert again.seen == mine.seen
    again._first_seen = b"2h h / 7 7 / 37 / 0 / 2s"
    assert "dealt" in again.audit()
    again.entries[0] = again.entries[1]
    assert again.audit().startswith("ply 0")


def test_what_the_referee_cannot_tell_us() -> None:
    one = evening("eights")
    mine = listener(one, 0)
    one.moves("draw")
    (logged,) = one.got(T.Logged)
    with pytest.raises(MatchError) as caught:
        mine.hear(logged.entry, b"another view", logged.salts[0], 0)
    assert caught.value.fault is Fault.WRONG_OBSERVATION
    other = evening()
    follower = listener(other, 1)
    other.moves("0")
    (logged,) = other.got(T.Logged)
    ruling = open_signed(logged.entry.ruling, Ruling)
    forged = msgspec.structs.replace(logged.entry, ruling=sign(msgspec.structs.replace(ruling, at_ms=5), REFEREE))
    with pytest.raises(MatchError):
        follower.hear(forged, b"", b"", 0)


def test_a_game_that_only_the_referee_knows() -> None:
    one = evening()
    (started,) = one.got(T.Started)
    genesis = msgspec.structs.replace(open_signed(started.genesis, Genesis), game="openspiel:hex")
    unknown = Following(sign(genesis, REFEREE), 0, 0, b"...")
    position = unknown.position(0)
    assert (position.turn, position.legal, position.seen, position.is_open) == ((), (), b"...", False)
    assert "not known" in unknown.audit()


def test_views() -> None:
    rules = GAMES["eights"]
    assert view(rules, b"2h h / 3 2 / 0 / 1+ / 2s 9d", 0) == ((1,), ())
    assert view(rules, b"2h h / 3 2 / 1 / 1+ / 2s 8h", 1)[1] == ("2s", "8h-s", "8h-h", "8h-d", "8h-c", "pass")
    assert view(rules, b"2h h / 3 0 / 1 / - / 2s", 0) == ((), ())
    assert view(rules, b"rubbish", 0) == ((), ())
    assert view(GAMES["chess"], b"8/8", 0) == ((), ())
