"""What can be said in a match, who says it, and why it may not count: the words that players and referee share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from protocol.errors import ChappeError


class Kind(IntEnum):
    """What an entry says. Below 32 a player says it, from 32 up the referee alone."""

    MOVE = 1  # an action of the game; may offer a draw with it
    RESIGN = 2
    DRAW = 3  # offers a draw, or accepts the one that is offered
    DECLINE = 4  # refuses the draw or the take-back that is asked for
    CLAIM = 5  # a draw that the rules give on demand; with the action that completes it, or none
    TAKEBACK = 6  # asks to take the last own move back, or grants it
    ABORT = 7  # no game: before everybody has moved once
    COMMIT = 8  # in a simultaneous turn: the hash of a move
    REVEAL = 9  # and the move: `action salt`
    CHANCE = 32  # what the seed decided
    TIMEOUT = 33  # a flag fell
    ABSENT = 34  # somebody left and did not come back in time: the referee's word
    ABORTED = 35  # nobody began in time: the referee's word
    SEED = 36  # after the end: the seed that was committed to
    RESULT = 37  # after the end: how it ended
    PAUSED = 38  # the referee itself was away for so many milliseconds, which nobody is charged: its word


REFEREE_FROM: Final = Kind.CHANCE
ON_ITS_WORD: Final = frozenset({Kind.ABSENT, Kind.ABORTED, Kind.PAUSED})  # nothing in the log can show that it is so


class Fault(StrEnum):
    """Why an entry cannot be. The value is what travels to clients."""

    ILLEGAL = "illegal"
    OUT_OF_TURN = "out-of-turn"
    LATE = "late"
    OVER = "over"
    DUPLICATE = "duplicate"
    TWO_AT_ONCE = "two-at-once"
    STALE = "stale"
    OTHER_MATCH = "other-match"
    NOT_SEATED = "not-seated"
    BAD_SIGNATURE = "bad-signature"
    MALFORMED = "malformed"
    NOT_OFFERED = "not-offered"
    OFFERED = "offered"
    NOT_JUSTIFIED = "not-justified"
    TOO_LATE_TO_ABORT = "too-late-to-abort"
    MUST_COMMIT = "must-commit"
    NOT_COMMITTED = "not-committed"
    WRONG_REVEAL = "wrong-reveal"
    NOT_HERE = "not-here"
    TOO_LONG = "too-long"
    FORGED_RESULT = "forged-result"
    FORGED_TIMEOUT = "forged-timeout"
    FORGED_CHANCE = "forged-chance"
    WRONG_SEED = "wrong-seed"
    WRONG_LINK = "wrong-link"
    WRONG_PLY = "wrong-ply"
    WRONG_CLOCKS = "wrong-clocks"
    WRONG_OBSERVATION = "wrong-observation"
    BACKWARDS = "backwards"
    FORGED_RULING = "forged-ruling"
    BAD_PARAMETERS = "bad-parameters"
    SEALED = "sealed"


class MatchError(ChappeError):
    """An entry that cannot be: which fault, and a sentence for people."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Act:
    """What an entry says, whoever says it. ``seat``: whose act it is, or whom the referee speaks of."""

    kind: Kind
    seat: int = 0
    action: str = ""
    draw: bool = False
    think_ms: int | None = None
