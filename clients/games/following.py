"""A match followed entry by entry by one of its players, who believes nothing that does not hold.

In open games every entry is checked by the rules as it comes. Where cards are hidden, or the game is one that only the
referee knows, the state cannot be followed: signatures, order and the digest of the own view are checked at once, and
the rest with the revealed seed (``audit``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from protocol.judging import Log, Place, check_entry, check_genesis, read_entry, revealed_secret, start, verify
from protocol.match import Match
from protocol.plies import Act, Fault, Kind, MatchError
from protocol.rules import clocks as C
from protocol.rules.base import CHANCE, AnyRules, Result
from protocol.rules.deals import salted_digest
from protocol.rules.games import GAMES
from protocol.transcript import (
    Entry,
    Genesis,
    Ruling,
    Signed,
    Statement,
    Transcript,
    first_link,
    next_link,
    open_signed,
    to_bytes,
)

HOLDS = "holds"


@dataclass(frozen=True, slots=True)
class Position:
    """A match as one of its players sees it."""

    game: str
    seat: int
    seen: bytes  # the observation of this seat, as its rules write it
    turn: tuple[int, ...]
    legal: tuple[str, ...]  # what this seat may do now; empty if it is not its turn, or the rules are not known here
    ply: int
    clocks_ms: tuple[int | None, ...]  # what is left by seat; None: no clock
    last: Act | None = None  # the last action of the game
    draw_by: int | None = None
    takeback_by: int | None = None
    outcome: Result | None = None
    is_open: bool = True  # whether the rules are followed here


class Following:
    """One match. Times are milliseconds of this device's clock."""

    def __init__(self, signed: Signed, seat: int, now_ms: int, first_seen: bytes = b"") -> None:
        """``first_seen``: what we were shown before the first entry, checked after the end.

        Raises ``MatchError``, ``TranscriptError`` where the genesis makes no sense."""
        self.signed = signed
        self.genesis = open_signed(signed, Genesis)
        self.rules: AnyRules | None = None
        if self.genesis.game in GAMES:
            self.rules = check_genesis(self.genesis, signed.signer, GAMES)
        self.seat = seat
        self.heard_ms = now_ms
        self.seen = self._first_seen = first_seen
        self.entries: list[Entry] = []
        self.acts: list[Act] = []
        self._place = Place(self.genesis, 0, first_link(signed))
        self._ruling: Ruling | None = None
        self._log: Log | None = None
        if self.rules is not None and not self.rules.hidden:
            self._log = start(self.rules, self.genesis, signed, b"")
            self.seen = self.rules.observe(self._log.match.state, seat)

    # -- what comes ----------------------------------------------------------------------------------------------------
    def hear(self, entry: Entry, seen: bytes, salt: bytes, now_ms: int) -> Act:
        """The next entry, and what it says. Raises ``MatchError``: the referee cannot have written it honestly."""
        if self._log is not None and self.rules is not None:
            self._log, act = check_entry(self.rules, self._log, entry)
            self.seen = self.rules.observe(self._log.match.state, self.seat)
            self._place = self._log.place
        else:
            act, ruling = read_entry(self._place, entry)
            if seen:  # entries that were fetched later come without
                shown = ruling.observations[self.seat] if self.seat < len(ruling.observations) else b""
                if salted_digest(salt, seen) != shown:
                    raise MatchError(Fault.WRONG_OBSERVATION, "what we were shown is not what the referee signed")
                self.seen = seen
            self._ruling = ruling
            self._place = Place(self.genesis, ruling.ply + 1, next_link(self._place.link, entry))
        self.entries.append(entry)
        self.acts.append(act)
        self.heard_ms = now_ms
        return act

    # -- looking -------------------------------------------------------------------------------------------------------
    @property
    def match(self) -> Match | None:
        """The match by its rules; None where they cannot be followed."""
        return None if self._log is None else self._log.match

    @property
    def ply(self) -> int:
        """The next one."""
        return self._place.ply

    def statement(self, kind: Kind, action: str, draw: bool, now_ms: int) -> Statement:
        """What we say for the next ply; the stopwatch counts from the entry before."""
        think_ms = max(0, now_ms - self.heard_ms) if kind is Kind.MOVE else None
        return Statement(
            self.genesis.match, self._place.ply, self._place.link, kind, self.seat, action, draw, think_ms
        )  # fmt: skip

    def position(self, now_ms: int) -> Position:
        """Everything for a board."""
        if self._log is None:
            return self._veiled(now_ms)
        assert self.rules is not None
        match = self._log.match
        turn = () if match.outcome else tuple(seat for seat in self.rules.turn(match.state) if seat != CHANCE)
        legal = self.rules.actions(match.state, self.seat) if self.seat in turn else ()
        clocks = tuple(self._left(match, seat, now_ms) for seat in range(match.seats))
        return Position(
            self.genesis.game, self.seat, self.seen, turn, legal, match.ply, clocks, self._last(), match.draw_by,
            match.takeback_by, match.outcome,
        )  # fmt: skip

    def _left(self, match: Match, seat: int, now_ms: int) -> int | None:
        left = C.budget_ms(match.spec, match.clocks, seat)
        if left is None or seat not in match.clocks.running:
            return left
        return max(0, left - max(0, now_ms - self.heard_ms))

    def _veiled(self, now_ms: int) -> Position:
        turn, legal = view(self.rules, self.seen, self.seat)
        clocks: tuple[int | None, ...] = (None,) * len(self.genesis.seats)
        if self._ruling is not None and self.genesis.clock.system != C.System.NONE:
            spent = max(0, now_ms - self.heard_ms)
            left = (reading.left_ms for reading in self._ruling.clocks)
            clocks = tuple(max(0, ms - spent) if seat in turn else ms for seat, ms in enumerate(left))
        outcome = next((_outcome(act.action) for act in reversed(self.acts) if act.kind is Kind.RESULT), None)
        return Position(
            self.genesis.game, self.seat, self.seen, () if outcome else turn, () if outcome else legal, self._place.ply,
            clocks, self._last(), outcome=outcome, is_open=False,
        )  # fmt: skip

    def _last(self) -> Act | None:
        shown = (Kind.MOVE, Kind.REVEAL, Kind.CHANCE)
        return next((act for act in reversed(self.acts) if act.kind in shown), None)

    # -- afterwards ----------------------------------------------------------------------------------------------------
    def transcript(self) -> bytes:
        """The file of the match."""
        return to_bytes(self.signed, tuple(self.entries))

    def audit(self) -> str:
        """Judge the whole match with the revealed seed: ``HOLDS``, or what is wrong."""
        transcript = Transcript("chappe-game", self.signed, tuple(self.entries))
        verdict = verify(transcript, GAMES)
        if not verdict.ok:
            return f"ply {verdict.bad_ply}: {verdict.why}"
        if self._first_seen and self.rules is not None:
            secret = revealed_secret(transcript, self.genesis)
            first = start(self.rules, self.genesis, self.signed, secret).match.state
            if self.rules.observe(first, self.seat) != self._first_seen:
                return "what we were shown at the beginning is not what was dealt"
        return HOLDS


def view(rules: Any, seen: bytes, seat: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Whose turn it is and what a seat may do, from what it sees alone; nothing where that cannot be told."""
    if rules is None or not hasattr(rules, "view") or not seen:
        return (), ()
    try:
        found: tuple[tuple[int, ...], tuple[str, ...]] = rules.view(seen, seat)
    except (ValueError, IndexError):
        return (), ()
    return found


def _outcome(text: str) -> Result:
    """A result as the referee writes it."""
    points, _, reason = text.partition(" ")
    return Result(tuple(int(value) for value in points.split("-") if value.isdecimal()), reason)


def replayed(
    signed: Signed, seat: int, entries: Iterable[Entry], heard_ms: int, first_seen: bytes, seen: bytes
) -> Following:  # fmt: skip
    """A match from what the vault keeps: it was checked when it came, and is checked again. Raises ``MatchError``."""
    following = Following(signed, seat, heard_ms, first_seen)
    for entry in entries:
        following.hear(entry, b"", b"", heard_ms)
    if following.match is None:
        following.seen = seen
    return following
