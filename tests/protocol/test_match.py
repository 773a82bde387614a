"""A match as a fold: what every kind of entry does, and when it cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.limits import GAME_ENDING_PLIES, GAME_PLIES_MAX, GAME_TAKEBACKS_MAX
from protocol.match import Match, advance, new_match, outcome_text
from protocol.plies import Act, Fault, Kind, MatchError
from protocol.rules.base import AnyRules, ParameterError, Result
from protocol.rules.clocks import NO_CLOCK, Spec, parse_spec
from protocol.rules.deals import move_commitment
from protocol.rules.games import GAMES
from protocol.rules.lines import TicTacToe

RULES = TicTacToe()
CHESS = GAMES["chess"]
HANDS = GAMES["hands"]
ID = b"m" * 32
SALT = b"s" * 16


def fresh(rules: AnyRules = RULES, clock: Spec = NO_CLOCK) -> Match:
    return new_match(rules, {}, 2, clock, ID, b"k" * 32, 0)


def go(match: Match, *acts: Act, rules: AnyRules = RULES, at_ms: int | None = None) -> Match:
    for act in acts:
        match = advance(rules, match, act, match.at_ms + 1000 if at_ms is None else at_ms)
    return match


def moves(*actions: str, first: int = 0) -> list[Act]:
    return [Act(Kind.MOVE, (first + at) % 2, action) for at, action in enumerate(actions)]


def fault_of(match: Match, act: Act, rules: AnyRules = RULES, at_ms: int | None = None) -> Fault:
    with pytest.raises(MatchError) as caught:
        go(match, act, rules=rules, at_ms=at_ms)
    assert str(caught.value)
    return caught.value.fault


def test_a_win() -> None:
    match = go(fresh(), *moves("0", "3", "1", "4", "2"))
    assert match.outcome == Result((2, 0), "3 in a row")
    assert (match.ply, match.moves) == (5, 5)
    match = go(match, Act(Kind.SEED), Act(Kind.RESULT, 0, "2-0 3 in a row"))
    assert match.told
    assert fault_of(match, Act(Kind.RESULT, 0, "2-0 3 in a row")) is Fault.FORGED_RESULT
    assert fault_of(match, Act(Kind.RESIGN, 1)) is Fault.OVER


def test_what_a_move_cannot_be() -> None:
    match = go(fresh(), *moves("0"))
    assert fault_of(match, Act(Kind.MOVE, 0, "1")) is Fault.OUT_OF_TURN
    assert fault_of(match, Act(Kind.MOVE, 1, "0")) is Fault.ILLEGAL
    assert fault_of(match, Act(Kind.MOVE, 2, "1")) is Fault.NOT_SEATED
    assert fault_of(match, Act(Kind.MOVE, 1, "1"), at_ms=0) is Fault.BACKWARDS
    assert fault_of(replace(match, ply=GAME_PLIES_MAX), Act(Kind.MOVE, 1, "1")) is Fault.TOO_LONG
    assert fault_of(match, Act(Kind.COMMIT, 1, "0" * 64)) is Fault.NOT_HERE
    assert fault_of(match, Act(Kind.CHANCE, 0, "6")) is Fault.FORGED_CHANCE
    assert fault_of(match, Act(Kind.SEED)) is Fault.WRONG_SEED
    assert fault_of(match, Act(Kind.RESULT, 0, "2-0 mate")) is Fault.FORGED_RESULT


def test_the_longest_match_can_still_be_ended() -> None:
    match = replace(go(fresh(), *moves("0")), ply=GAME_PLIES_MAX - GAME_ENDING_PLIES)
    assert fault_of(match, Act(Kind.MOVE, 1, "1")) is Fault.TOO_LONG
    assert fault_of(match, Act(Kind.PAUSED, 0, "1")) is Fault.TOO_LONG
    over = go(match, Act(Kind.RESIGN, 1), Act(Kind.SEED), Act(Kind.RESULT, 0, "2-0 resignation"))
    assert over.told


def test_the_referee_was_away() -> None:
    match = fresh(clock=parse_spec("60+0"))
    assert fault_of(match, Act(Kind.PAUSED, 0, "1")) is Fault.FORGED_RULING  # no clock runs yet
    match = go(match, *moves("0", "1"))
    since = match.clocks.since_ms
    for text in ("", "-1", "0", "x", "61000", "9" * 16):
        assert fault_of(match, Act(Kind.PAUSED, 0, text), at_ms=since + 60_999) is Fault.FORGED_RULING
    later = go(match, Act(Kind.PAUSED, 0, "55000"), at_ms=since + 60_000)
    assert later.clocks.since_ms == since + 55_000
    moved = go(later, Act(Kind.MOVE, 0, "2"), at_ms=since + 61_000)
    assert moved.clocks.left_ms[0] == 54_000


def test_ends_by_word() -> None:
    match = go(fresh(), *moves("0", "1"))
    assert go(match, Act(Kind.RESIGN, 0)).outcome == Result((0, 2), "resignation")
    assert go(match, Act(Kind.ABSENT, 1)).outcome == Result((2, 0), "left")
    assert fault_of(match, Act(Kind.ABORT, 0)) is Fault.TOO_LATE_TO_ABORT
    assert fault_of(match, Act(Kind.ABORTED)) is Fault.TOO_LATE_TO_ABORT
    young = go(fresh(), *moves("0"))
    assert go(young, Act(Kind.ABORT, 1)).outcome == Result((), "aborted")
    assert go(young, Act(Kind.ABSENT, 1)).outcome == Result((), "aborted")
    aborted = go(young, Act(Kind.ABORTED))
    assert go(aborted, Act(Kind.RESULT, 0, outcome_text(Result((), "aborted")))).told


def test_draws() -> None:
    offered = go(fresh(), Act(Kind.MOVE, 0, "0", draw=True))
    assert offered.draw_by == 0
    assert go(offered, Act(Kind.DRAW, 1)).outcome == Result((1, 1), "draw agreed")
    assert go(offered, *moves("1", first=1)).draw_by is None
    declined = go(offered, Act(Kind.DECLINE, 1))
    assert declined.draw_by is None
    assert fault_of(declined, Act(Kind.DECLINE, 1)) is Fault.NOT_OFFERED
    assert fault_of(declined, Act(Kind.DRAW, 0)) is Fault.OFFERED  # once between two moves
    assert go(declined, Act(Kind.DRAW, 1)).draw_by == 1
    again = go(declined, *moves("1", first=1))
    assert go(again, Act(Kind.MOVE, 0, "2", draw=True)).draw_by == 0
    assert fault_of(fresh(), Act(Kind.CLAIM, 0)) is Fault.NOT_JUSTIFIED
    assert fault_of(fresh(), Act(Kind.CLAIM, 1)) is Fault.OUT_OF_TURN


def test_a_claim() -> None:
    match = fresh(CHESS)
    for _ in range(2):
        match = go(match, *moves("g1f3", "g8f6", "f3g1", "f6g8"), rules=CHESS)
    assert go(match, Act(Kind.CLAIM, 0), rules=CHESS).outcome == Result((1, 1), "threefold repetition")


def test_taking_back() -> None:
    match = go(fresh(), *moves("0", "1", "2"))
    asked = go(match, Act(Kind.TAKEBACK, 0))
    assert asked.takeback_by == 0
    assert go(asked, Act(Kind.DECLINE, 1)).takeback_by is None
    assert fault_of(asked, Act(Kind.TAKEBACK, 0)) is Fault.OFFERED
    back = go(asked, Act(Kind.TAKEBACK, 1))
    assert back.state == go(fresh(), *moves("0", "1")).state
    assert (back.moves, back.takebacks) == (2, 1)
    two = go(match, Act(Kind.TAKEBACK, 1), Act(Kind.TAKEBACK, 0))  # the answer goes with it
    assert (two.state, two.moves) == (go(fresh(), *moves("0")).state, 1)
    assert fault_of(go(fresh(), *moves("0")), Act(Kind.TAKEBACK, 1)) is Fault.NOT_HERE
    assert fault_of(replace(match, takebacks=GAME_TAKEBACKS_MAX), Act(Kind.TAKEBACK, 0)) is Fault.OFFERED
    assert fault_of(fresh(HANDS), Act(Kind.TAKEBACK, 0), rules=HANDS) is Fault.NOT_HERE
    assert fault_of(replace(asked, undo=None), Act(Kind.TAKEBACK, 1)) is Fault.NOT_HERE


def test_clocks_run_once_everybody_has_moved() -> None:
    clock = parse_spec("60+1")
    match = go(fresh(clock=clock), *moves("0", "1"))
    assert match.clocks.left_ms == (60_000, 60_000)
    match = go(match, *moves("2"))
    assert match.clocks.left_ms == (60_000, 60_000)  # a second spent, a second more
    assert match.clocks.running == (1,)
    late = match.at_ms + 60_000
    assert fault_of(match, Act(Kind.MOVE, 1, "3"), at_ms=late) is Fault.LATE
    assert fault_of(match, Act(Kind.RESIGN, 0), at_ms=late) is Fault.LATE
    assert fault_of(match, Act(Kind.TIMEOUT, 1), at_ms=late - 1) is Fault.FORGED_TIMEOUT
    assert fault_of(match, Act(Kind.TIMEOUT, 0), at_ms=late) is Fault.FORGED_TIMEOUT
    assert go(match, Act(Kind.TIMEOUT, 1), at_ms=late).outcome == Result((2, 0), "time")
    back = go(match, Act(Kind.TAKEBACK, 0), Act(Kind.TAKEBACK, 1))
    assert back.clocks.left_ms == (60_000, 58_000)  # what was spent is spent
    assert back.clocks.running == (0,)


def test_who_says_that_the_time_is_over_has_no_more_of_it() -> None:
    match = go(fresh(clock=parse_spec("10+0", 1000)), *moves("0", "1"))
    late = Act(Kind.MOVE, 0, "2", think_ms=10_000)
    assert fault_of(match, late, at_ms=match.at_ms + 10_500) is Fault.LATE
    assert go(match, replace(late, think_ms=9_900), at_ms=match.at_ms + 10_500).clocks.left_ms[0] == 100


# -- at the same time --------------------------------------------------------------------------------------------------
def commit(seat: int, action: str, move: int = 0, salt: bytes = SALT) -> Act:
    return Act(Kind.COMMIT, seat, move_commitment(ID, seat, move, action, salt).hex())


def reveal(seat: int, action: str, salt: bytes = SALT) -> Act:
    return Act(Kind.REVEAL, seat, f"{action} {salt.hex()}")


def test_a_simultaneous_turn() -> None:
    match = go(fresh(HANDS, parse_spec("60+0")), commit(1, "rock"), commit(0, "paper"), rules=HANDS)
    half = go(match, reveal(0, "paper"), rules=HANDS)
    assert half.moves == 0
    match = go(half, reveal(1, "rock"), rules=HANDS)
    assert match.moves == 2
    assert HANDS.observe(match.state, None) == b"1-0 of 2, round 2"
    assert match.clocks.running == (0, 1)
    both = go(match, commit(0, "rock", 2), commit(1, "rock", 2), rules=HANDS)
    assert both.clocks.running == (0, 1)  # and now they reveal
    assert both.clocks.left_ms == (59_000, 58_000)
    down = go(both, Act(Kind.TIMEOUT, 1), rules=HANDS, at_ms=both.at_ms + 60_000)
    assert down.outcome == Result((2, 0), "time")
    alike = replace(both, clocks=replace(both.clocks, left_ms=(5, 5)))
    assert go(alike, Act(Kind.TIMEOUT, 0), rules=HANDS, at_ms=both.at_ms + 60_000).outcome == Result(
        (1, 1), "all flags fell together"
    )


def test_what_a_simultaneous_turn_does_not_allow() -> None:
    match = go(fresh(HANDS), commit(0, "rock"), rules=HANDS)
    assert fault_of(match, Act(Kind.MOVE, 1, "rock"), HANDS) is Fault.MUST_COMMIT
    assert fault_of(match, commit(0, "paper"), HANDS) is Fault.DUPLICATE
    assert fault_of(match, reveal(0, "rock"), HANDS) is Fault.NOT_COMMITTED
    assert fault_of(match, Act(Kind.COMMIT, 1, "x" * 64), HANDS) is Fault.MALFORMED
    assert fault_of(match, Act(Kind.COMMIT, 1, "0"), HANDS) is Fault.MALFORMED
    match = go(match, commit(1, "lizard"), rules=HANDS)
    assert fault_of(match, reveal(0, "paper"), HANDS) is Fault.WRONG_REVEAL
    assert fault_of(match, Act(Kind.REVEAL, 0, "rock zz"), HANDS) is Fault.MALFORMED
    assert fault_of(match, Act(Kind.REVEAL, 0, "rock 00"), HANDS) is Fault.MALFORMED
    assert fault_of(match, reveal(1, "lizard"), HANDS) is Fault.ILLEGAL
    match = go(match, reveal(0, "rock"), rules=HANDS)
    assert fault_of(match, reveal(0, "rock"), HANDS) is Fault.DUPLICATE


def test_a_match_for_more_than_two_has_no_draws() -> None:
    match = replace(fresh(), seats=3, offers=(0, 0, 0))
    assert fault_of(match, Act(Kind.DRAW, 0)) is Fault.NOT_HERE
    assert fault_of(match, Act(Kind.MOVE, 0, "0", draw=True)) is Fault.NOT_HERE
    assert fault_of(match, Act(Kind.DECLINE, 0)) is Fault.NOT_OFFERED
    assert fault_of(match, Act(Kind.TAKEBACK, 0)) is Fault.NOT_HERE


def test_parameters_are_checked() -> None:
    with pytest.raises(ParameterError):
        new_match(RULES, {"size": 4}, 2, NO_CLOCK, ID, b"", 0)
    with pytest.raises(ParameterError):
        new_match(RULES, {}, 2, Spec(1), ID, b"", 0)
