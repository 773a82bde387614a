"""What the referee knows of one match, what can happen to it, and what it may then do: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from protocol import limits as L
from protocol.judging import Log
from protocol.plies import Fault
from protocol.rules.base import Result, Value
from protocol.rules.clocks import NO_CLOCK, Spec
from protocol.transcript import Entry, Signed
from protocol.wagers import Wager


class Phase(Enum):
    """How far a table is."""

    OFFERED = 1  # waits for players
    PLAYING = 2
    OVER = 3  # nothing but a rematch
    CLOSED = 4  # nothing at all


class Wish(Enum):
    """Where who offers wants to sit."""

    FIRST = 1
    LAST = 2
    RANDOM = 3


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody at a table: the account, its devices, and 32 bytes of its own chance."""

    account: bytes
    devices: tuple[bytes, ...]
    entropy: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is offered."""

    game: str
    params: tuple[tuple[str, Value], ...] = ()
    seats: int = 2
    clock: Spec = NO_CLOCK
    rated: bool = False
    wish: Wish = Wish.RANDOM
    invited: tuple[bytes, ...] = ()  # accounts; nobody: whoever comes
    life_ms: int = L.GAME_OFFER_MS
    wager: Wager | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One match from its offer to its rematch."""

    match: bytes
    terms: Terms
    players: tuple[Player, ...]  # in the order in which they came; from the start on, by seat
    opened_ms: int
    seed: bytes = field(repr=False)
    phase: Phase = Phase.OFFERED
    genesis: Signed | None = None
    log: Log | None = field(default=None, repr=False)
    heard: tuple[Signed | None, ...] = ()  # by seat: the last statement that counted
    gone: tuple[int | None, ...] = ()  # by seat: since when it is away
    again: tuple[Player, ...] = ()  # who wants a rematch
    fresh: bytes = field(default=b"", repr=False)  # name and seed of the rematch, chosen when the first one wants it
    rematch_of: bytes = b""


# -- events ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Accept:
    """Somebody takes an offer."""

    player: Player


@dataclass(frozen=True, slots=True)
class Decline:
    """Somebody who was invited refuses, or who offered takes it back."""

    account: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A signed statement came, from a device that the connection vouches for."""

    account: bytes
    signed: Signed


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """All devices of an account are away."""

    account: bytes


@dataclass(frozen=True, slots=True)
class Back:
    """An account is here again."""

    account: bytes


@dataclass(frozen=True, slots=True)
class Again:
    """A player wants a rematch. ``fresh``: 64 random bytes for the new match, used if this is the first to ask."""

    player: Player
    fresh: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Away:
    """The referee itself was away until now: nobody is charged for it, and nobody's absence counts."""

    away_ms: int


Event = Accept | Decline | Said | Tick | Gone | Back | Again | Away


# -- effects -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Refused:
    """Tell an account why what it sent does not count. Nothing has changed."""

    account: bytes
    fault: Fault
    text: str


@dataclass(frozen=True, slots=True)
class Started:
    """The match begins: to all players, each with what it sees before the first entry."""

    genesis: Signed
    observations: tuple[bytes, ...]  # by seat


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry more: store it, then send it to the players, each with what it sees itself."""

    ply: int
    entry: Entry
    observations: tuple[bytes, ...]  # by seat
    salts: tuple[bytes, ...]  # by seat: with it the player checks the digest; empty where nothing is hidden


@dataclass(frozen=True, slots=True)
class Shown:
    """What spectators may see, not before ``at_ms``: what everybody may see, and nothing else."""

    at_ms: int
    ply: int
    observation: bytes


@dataclass(frozen=True, slots=True)
class Convicted:
    """Two statements for one ply, which prove by themselves that a device cheated: to all players, and kept."""

    account: bytes
    one: Signed
    other: Signed


@dataclass(frozen=True, slots=True)
class Ended:
    """The match is over: for ratings, and for whoever lists matches."""

    outcome: Result
    rated: bool
    accounts: tuple[bytes, ...]  # by seat


@dataclass(frozen=True, slots=True)
class Closed:
    """An offer is off: declined, or nobody came."""

    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """Somebody wants a rematch: the seed of the new table is committed to before the others add their entropy."""

    table: Table


@dataclass(frozen=True, slots=True)
class Opened:
    """A new table: by a rematch."""

    table: Table


@dataclass(frozen=True, slots=True)
class Wake:
    """Send a ``Tick`` at this time."""

    at_ms: int


Effect = Refused | Started | Logged | Shown | Convicted | Ended | Closed | Proposed | Opened | Wake
FRESH_BYTES: Final = 64  # half names the match, half is the seed


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a table, and what to do, in this order, once it is stored."""

    table: Table
    effects: tuple[Effect, ...] = ()
