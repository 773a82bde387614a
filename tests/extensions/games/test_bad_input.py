"""Bad input to the referee: one outcome for each kind, the one that DESIGN.md names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from extensions.games import table as T
from extensions.games.table import Terms, Tick
from protocol.plies import Fault, Kind
from protocol.rules.clocks import parse_spec
from protocol.rules.deals import move_commitment
from protocol.rules.games import GAMES
from protocol.transcript import Signed, convicts
from tests.extensions.games.tables import Evening, evening, player
from tests.protocol.playing import KEYS, Scribe

FIVE = parse_spec("300+3", 500)


def _illegal() -> Evening:
    one = evening().moves("0")
    one.say(1, Kind.MOVE, "0")
    return one


def _out_of_turn() -> Evening:
    one = evening().moves("0")
    one.say(0, Kind.MOVE, "1")
    return one


def _late() -> Evening:
    one = evening(clock=FIVE).moves("0", "3")
    one.say(0, Kind.MOVE, "1", 400_000)
    assert one.reason == "time"
    return one


def _duplicate() -> Evening:
    one = evening()
    signed = one.signed(0, Kind.MOVE, "0")
    one.send(0, signed)
    one.send(0, signed)
    return one


def _stale() -> Evening:
    one = evening()
    resign = one.signed(1, Kind.RESIGN)
    one.say(0, Kind.MOVE, "0")
    one.send(1, resign)
    return one


def _other_match() -> Evening:
    one = evening()
    other = Scribe(GAMES["tictactoe"], nonce=b"o" * 32)
    entry = other.say(0, Kind.MOVE, "0")
    assert entry.statement is not None
    one.send(0, entry.statement)
    return one


def _not_begun() -> Evening:
    one = Evening(Terms("tictactoe"))
    entry = Scribe(GAMES["tictactoe"]).say(0, Kind.MOVE, "0")
    assert entry.statement is not None
    one.send(0, entry.statement)
    return one


def _after_the_end() -> Evening:
    one = evening().moves("0", "3", "1", "4", "2")
    one.say(1, Kind.MOVE, "5")
    return one


def _resign_racing_mate() -> Evening:
    one = evening().moves("0", "3", "1", "4")
    resign = one.signed(1, Kind.RESIGN)
    one.moves("2")
    assert one.got(T.Ended)[0].outcome.points == (2, 0)
    one.send(1, resign)
    return one


def _two_at_once() -> Evening:
    one = evening()
    first, second = one.signed(0, Kind.MOVE, "0"), one.signed(0, Kind.MOVE, "4")
    one.send(0, first)
    one.send(0, second)
    (proof,) = one.got(T.Convicted)
    assert proof.account == player(0).account
    assert convicts(proof.one, proof.other) is not None
    return one


def _both_flags() -> Evening:
    one = evening("hands", clock=parse_spec("60+0"))
    for seat in (0, 1):
        one.say(seat, Kind.COMMIT, move_commitment(one.table.match, seat, 0, "rock", b"s" * 16).hex())
    for seat in (0, 1):
        one.say(seat, Kind.REVEAL, f"rock {(b's' * 16).hex()}")
    one.happens(Tick(), 60_000)
    assert one.got(T.Ended)[0].outcome.points == (1, 1)
    assert one.verdict().ok
    return one


def _forged_result() -> Evening:
    one = evening()
    one.say(0, Kind.RESULT, "2-0 I say so")
    return one


def _forged_signature() -> Evening:
    one = evening()
    signed = one.signed(0, Kind.MOVE, "0")
    one.send(0, Signed(signed.body, signed.signer, bytes(64)))
    return one


def _stranger() -> Evening:
    one = evening()
    body = one.signed(0, Kind.MOVE, "0").body
    one.send(0, Signed(body, KEYS[3].public, KEYS[3].sign(b"chappe/v1/game/statement\x00", body)))
    return one


def _too_large() -> Evening:
    one = evening()
    one.say(0, Kind.MOVE, "0" * 129)
    return one


def _not_offered() -> Evening:
    one = evening()
    one.say(1, Kind.DECLINE)
    return one


def _asked_twice() -> Evening:
    one = evening()
    one.say(0, Kind.DRAW)
    one.say(0, Kind.DRAW)
    return one


def _bad_claim() -> Evening:
    one = evening("chess")
    one.say(0, Kind.CLAIM)
    return one


def _late_abort() -> Evening:
    one = evening().moves("0", "3")
    one.say(0, Kind.ABORT)
    return one


def _open_move() -> Evening:
    one = evening("hands")
    one.say(0, Kind.MOVE, "rock")
    return one


def _other_move_revealed() -> Evening:
    one = evening("hands")
    one.say(0, Kind.COMMIT, "0" * 64)
    one.say(1, Kind.COMMIT, "0" * 64)
    one.say(0, Kind.REVEAL, "rock " + "00" * 16)
    return one


def _revealed_too_early() -> Evening:
    one = evening("hands")
    one.say(0, Kind.REVEAL, "rock " + "00" * 16)
    return one


def _forked() -> Evening:
    one = evening().moves("0")
    one.say(1, Kind.MOVE, "1", previous=b"p" * 32)
    return one


def _ahead() -> Evening:
    one = evening().moves("0")
    one.say(1, Kind.MOVE, "1", ply=7)
    return one


def _takeback_of_dice() -> Evening:
    one = evening("hands")
    one.say(0, Kind.TAKEBACK)
    return one


CASES: dict[str, tuple[Callable[[], Evening], Fault | None]] = {
    "an illegal move": (_illegal, Fault.ILLEGAL),
    "out of turn": (_out_of_turn, Fault.OUT_OF_TURN),
    "too late": (_late, Fault.LATE),
    "the same twice": (_duplicate, Fault.DUPLICATE),
    "overtaken by another entry": (_stale, Fault.STALE),
    "replayed from another match": (_other_match, Fault.OTHER_MATCH),
    "before the start": (_not_begun, Fault.OTHER_MATCH),
    "after the end": (_after_the_end, Fault.OVER),
    "resign racing mate": (_resign_racing_mate, Fault.OVER),
    "two at once": (_two_at_once, Fault.TWO_AT_ONCE),
    "both flags at zero": (_both_flags, None),
    "a result by a player": (_forged_result, Fault.MALFORMED),
    "a signature that does not fit": (_forged_signature, Fault.BAD_SIGNATURE),
    "a device that does not play": (_stranger, Fault.NOT_SEATED),
    "an oversized action": (_too_large, Fault.MALFORMED),
    "declining nothing": (_not_offered, Fault.NOT_OFFERED),
    "asking twice": (_asked_twice, Fault.OFFERED),
    "a claim that is not justified": (_bad_claim, Fault.NOT_JUSTIFIED),
    "aborting too late": (_late_abort, Fault.TOO_LATE_TO_ABORT),
    "an open move in a simultaneous turn": (_open_move, Fault.MUST_COMMIT),
    "revealing another move": (_other_move_revealed, Fault.WRONG_REVEAL),
    "revealing too early": (_revealed_too_early, Fault.NOT_COMMITTED),
    "another history": (_forked, Fault.WRONG_LINK),
    "a ply of the future": (_ahead, Fault.WRONG_PLY),
    "taking back what cannot be": (_takeback_of_dice, Fault.NOT_HERE),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str) -> None:
    make, fault = CASES[name]
    one = make()
    assert one.faults == ([] if fault is None else [fault])
    if one.table.genesis is not None:
        assert one.verdict().ok  # whatever was refused is not in the log
    for effect in one.got(T.Refused):
        assert effect.text


def test_the_table_says_so() -> None:
    design = Path(__file__).parents[3] / "extensions" / "games" / "DESIGN.md"
    rows = dict(re.findall(r"(?m)^\| (.+?) \| `?([a-z-]+)`? \|", design.read_text(encoding="utf-8")))
    said = {name: rows.get(name) for name in CASES}
    assert said == {name: fault.value if fault else "none" for name, (_make, fault) in CASES.items()}
