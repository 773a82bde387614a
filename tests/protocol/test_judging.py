"""Judging a transcript: what holds is accepted, and whatever was touched is found, at the right ply."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import judging
from protocol.identity import SigningKey
from protocol.plies import Act, Fault, Kind
from protocol.rules.base import AnyRules
from protocol.rules.clocks import parse_spec
from protocol.rules.games import GAMES
from protocol.rules.lines import TicTacToe
from protocol.transcript import Entry, Genesis, Ruling, Signed, Transcript, from_bytes, sign, to_bytes
from tests.protocol.playing import KEYS, REFEREE, SEED, START_MS, Scribe, replace_struct
from tests.protocol.rules.random_games import play_at_random

STRANGER = SigningKey(b"Z" * 32)
RULES = TicTacToe()


def won() -> Scribe:
    """x wins with the top row."""
    return Scribe(RULES, clock=parse_spec("60+1", 200)).moves("0", "3", "1", "4", "2").finish()


def test_a_match_holds() -> None:
    scribe = won()
    verdict = verdict_of(from_bytes(to_bytes(scribe.signed, tuple(scribe.entries))))
    assert verdict.ok
    assert verdict.final
    assert not verdict.sealed
    assert verdict.outcome is not None
    assert (verdict.outcome.points, verdict.outcome.reason) == ((2, 0), "3 in a row")
    assert [act.action for act, _at in verdict.acts][:5] == ["0", "3", "1", "4", "2"]
    assert verdict.seen == b"xxx\noo.\n...\n-"
    assert verdict.genesis == scribe.genesis


def verdict_of(transcript: Transcript) -> judging.Verdict:
    return judging.verify(transcript, GAMES)


def test_an_unfinished_match_holds_as_far_as_it_goes() -> None:
    verdict = Scribe(RULES).moves("4").verdict()
    assert verdict.ok
    assert (verdict.outcome, verdict.final, verdict.sealed) == (None, False, True)


def test_what_rests_on_the_referees_word_is_named() -> None:
    scribe = Scribe(RULES).moves("4")
    scribe.rule(Kind.ABORTED)
    assert scribe.finish().verdict().on_its_word == (1,)


# -- lies of players ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "key", "fault"),
    [
        ({"match": b"m" * 32}, KEYS[0], Fault.OTHER_MATCH),
        ({"ply": 1}, KEYS[0], Fault.STALE),
        ({"ply": 3}, KEYS[0], Fault.WRONG_PLY),
        ({"previous": b"p" * 32}, KEYS[0], Fault.WRONG_LINK),
        ({"seat": 1}, KEYS[0], Fault.NOT_SEATED),
        ({"seat": 5}, KEYS[0], Fault.NOT_SEATED),
        ({}, KEYS[1], Fault.NOT_SEATED),
        ({}, STRANGER, Fault.NOT_SEATED),
        ({"kind": 37}, KEYS[0], Fault.MALFORMED),
        ({"action": "5"}, KEYS[0], Fault.FORGED_RULING),
    ],
)
def test_a_statement_that_does_not_fit(changes: dict[str, object], key: SigningKey, fault: Fault) -> None:
    scribe = Scribe(RULES).moves("0", "3")
    act = Act(Kind.MOVE, 0, "1")
    signed = sign(scribe.statement(act, **changes), key)
    scribe.append(act, signed)
    verdict = scribe.verdict()
    assert (verdict.bad_ply, verdict.fault) == (2, fault)
    assert verdict.why
    assert verdict.plies == 3


def test_an_illegal_move_that_the_referee_waved_through() -> None:
    class Lax(TicTacToe):
        def apply(self, state, seat, action):  # type: ignore[no-untyped-def]
            return (
                super().apply(state, seat, "8")
                if action == "0" and state.cells[0] != "."
                else super().apply(state, seat, action)
            )

    scribe = Scribe(Lax()).moves("0", "0")
    verdict = verdict_of(scribe.transcript)
    assert (verdict.bad_ply, verdict.fault) == (1, Fault.ILLEGAL)
    assert verdict.seen == b"x..\n...\n...\no"


# -- lies of the referee -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"match": b"m" * 32}, Fault.OTHER_MATCH),
        ({"ply": 0}, Fault.WRONG_PLY),
        ({"previous": b"p" * 32}, Fault.WRONG_LINK),
        ({"statement": b"s" * 32}, Fault.FORGED_RULING),
        ({"at_ms": START_MS}, Fault.BACKWARDS),
        ({"clocks": ()}, Fault.FORGED_RULING),
        ({"at_ms": START_MS + 4000}, Fault.WRONG_CLOCKS),
        ({"at_ms": START_MS + 10_000_000}, Fault.LATE),
        ({"observations": (b"o" * 32,) * 3}, Fault.WRONG_OBSERVATION),
        ({"seat": 1}, Fault.FORGED_RULING),
        ({"kind": 2}, Fault.FORGED_RULING),
    ],
)
def test_a_ruling_that_does_not_fit(changes: dict[str, object], fault: Fault) -> None:
    scribe = Scribe(RULES, clock=parse_spec("60+1")).moves("0", "3")
    act = Act(Kind.MOVE, 0, "1")
    scribe.append(act, sign(scribe.statement(act), KEYS[0]), 1000, **changes)
    verdict = scribe.verdict()
    assert (verdict.bad_ply, verdict.fault) == (2, fault)


def test_rulings_of_others_and_rulings_that_are_none() -> None:
    scribe = Scribe(RULES).moves("0")
    entry = scribe.entries[0]
    ruling = decoded(entry)
    for signed in (
        sign(ruling, STRANGER),
        Signed(entry.ruling.body, REFEREE.public, bytes(64)),
        Signed(b"\x90", REFEREE.public, bytes(64)),
    ):
        verdict = verdict_of(Transcript("chappe-game", scribe.signed, (Entry(entry.statement, signed),)))
        assert (verdict.bad_ply, verdict.fault) == (0, Fault.FORGED_RULING)


def decoded(entry: Entry) -> Ruling:
    from protocol.codec import decode_struct

    return decode_struct(entry.ruling.body, Ruling)


@pytest.mark.parametrize(
    ("kind", "action", "fault"),
    [
        (Kind.MOVE, "5", Fault.FORGED_RULING),
        (Kind.RESIGN, "", Fault.FORGED_RULING),
        (50, "", Fault.FORGED_RULING),
        (Kind.RESULT, "2-0 checkmate", Fault.FORGED_RESULT),
        (Kind.TIMEOUT, "", Fault.FORGED_TIMEOUT),
        (Kind.CHANCE, "6", Fault.FORGED_CHANCE),
        (Kind.SEED, "00" * 32, Fault.WRONG_SEED),
        (Kind.SEED, "seed", Fault.WRONG_SEED),
        (Kind.SEED, SEED.hex(), Fault.WRONG_SEED),
    ],
)
def test_what_the_referee_cannot_say_alone(kind: int, action: str, fault: Fault) -> None:
    scribe = Scribe(RULES, clock=parse_spec("60+1")).moves("0", "3")
    entry = scribe.entries[-1]
    lie = replace_struct(decoded(entry), ply=2, previous=scribe.log.link, statement=b"", kind=kind, seat=0)
    lie = replace_struct(lie, action=action)
    transcript = Transcript("chappe-game", scribe.signed, (*scribe.entries, Entry(None, sign(lie, REFEREE))))
    verdict = verdict_of(transcript)
    assert (verdict.bad_ply, verdict.fault) == (2, fault)


# -- the genesis -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"referee": STRANGER.public}, Fault.BAD_SIGNATURE),
        ({"version": 2}, Fault.BAD_PARAMETERS),
        ({"game": "mornington crescent"}, Fault.BAD_PARAMETERS),
        ({"rules_version": 9}, Fault.BAD_PARAMETERS),
        ({"params": (("size", 4),)}, Fault.BAD_PARAMETERS),
        ({"params": (("size", 4), ("size", 5))}, Fault.BAD_PARAMETERS),
        ({"entropy": ()}, Fault.BAD_PARAMETERS),
        ({"seats": "twice"}, Fault.BAD_PARAMETERS),
    ],
)
def test_a_genesis_that_makes_no_sense(changes: dict[str, object], fault: Fault) -> None:
    scribe = Scribe(RULES)
    if changes.get("seats") == "twice":
        changes = {"seats": (scribe.genesis.seats[0],) * 2}
    signed = sign(replace_struct(scribe.genesis, **changes), REFEREE)
    verdict = verdict_of(Transcript("chappe-game", signed, ()))
    assert (verdict.bad_ply, verdict.fault) == (judging.GENESIS_PLY, fault)


def test_a_genesis_that_is_none() -> None:
    verdict = verdict_of(Transcript("chappe-game", Signed(b"\x90", REFEREE.public, bytes(64)), ()))
    assert (verdict.genesis, verdict.bad_ply) == (None, -1)
    body = Scribe(RULES).signed
    verdict = verdict_of(Transcript("chappe-game", Signed(body.body, body.signer, bytes(64)), ()))
    assert verdict.fault is Fault.BAD_SIGNATURE
    assert isinstance(Scribe(RULES).genesis, Genesis)


def test_seeds_that_do_not_count() -> None:
    """A ruling that cannot be read, and one whose seed is none, are passed over when the seed is looked for."""
    scribe = won()
    junk = Entry(None, Signed(b"\x90", REFEREE.public, bytes(64)))
    verdict = verdict_of(Transcript("chappe-game", scribe.signed, (*scribe.entries, junk)))
    assert (verdict.bad_ply, verdict.fault) == (7, Fault.FORGED_RULING)
    assert not verdict.sealed


# -- at random ---------------------------------------------------------------------------------------------------------
@given(st.sampled_from(sorted(GAMES)), st.integers(0, 2**32))
def test_random_games_hold_and_replay_to_the_same_state(name: str, seed: int) -> None:
    scribe = play_at_random(GAMES[name], seed, plies_max=40)
    verdict = scribe.verdict()
    assert verdict.ok, verdict.why
    assert verdict.outcome == scribe.log.match.outcome
    assert verdict.seen == scribe.rules.observe(scribe.log.match.state, None)


@given(st.sampled_from(("tictactoe", "nim", "chess", "hands")), st.integers(0, 2**32), st.data())
def test_whatever_is_touched_is_found_at_its_ply(name: str, seed: int, data: st.DataObject) -> None:
    rules: AnyRules = GAMES[name]
    scribe = play_at_random(rules, seed, plies_max=12)
    entries = list(scribe.entries)
    ply = data.draw(st.integers(0, len(entries) - 1))
    how = data.draw(st.sampled_from(("statement", "ruling", "drop", "swap", "repeat", "sign")))
    entry = entries[ply]
    said = entry.statement
    if how == "statement" and said is not None:
        entries[ply] = Entry(flipped(said, data), entry.ruling)
    elif how == "sign" and said is not None:
        entries[ply] = Entry(Signed(said.body, STRANGER.public, STRANGER.sign(b"x\x00", said.body)), entry.ruling)
    elif how == "drop" and ply < len(entries) - 1:
        del entries[ply]
    elif how == "swap" and ply < len(entries) - 1:
        entries[ply], entries[ply + 1] = entries[ply + 1], entries[ply]
    elif how == "repeat":
        entries.insert(ply + 1, entry)
        ply += 1
    else:
        entries[ply] = Entry(said, flipped(entry.ruling, data))
    verdict = judging.verify(Transcript("chappe-game", scribe.signed, tuple(entries)), {name: rules})
    assert verdict.bad_ply == ply
    assert verdict.fault is not None


def flipped(signed: Signed, data: st.DataObject) -> Signed:
    """One bit of the body or of the signature is another one."""
    part = data.draw(st.sampled_from(("body", "signature")))
    value = bytearray(getattr(signed, part))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    whole = Signed(bytes(value), signed.signer, signed.signature)
    return whole if part == "body" else Signed(signed.body, signed.signer, bytes(value))
