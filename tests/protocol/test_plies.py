"""The words of a match."""

from __future__ import annotations

from protocol.plies import ON_ITS_WORD, REFEREE_FROM, Act, Fault, Kind, MatchError


def test_who_says_what() -> None:
    assert max(kind for kind in Kind if kind < REFEREE_FROM) == Kind.REVEAL
    assert all(kind >= REFEREE_FROM for kind in ON_ITS_WORD)
    assert Act(Kind.MOVE) == Act(Kind.MOVE, 0, "", False, None)


def test_faults_travel_as_words() -> None:
    error = MatchError(Fault.OUT_OF_TURN, "not now")
    assert (error.fault.value, str(error)) == ("out-of-turn", "not now")
    assert len({fault.value for fault in Fault}) == len(Fault)
