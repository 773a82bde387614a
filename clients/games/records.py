"""What a player keeps in the vault: matches, their entries, and offers that the referee has not answered yet."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from protocol.rules.base import Value
from protocol.wagers import Wager

MATCHES: Final = "games"  # by match
ENTRIES: Final = "game-entries"  # by match and ply (4 bytes, big endian)
SEEKS: Final = "game-seeks"  # by referee
STAKE_ASKED: Final = "asked"  # our stake is on its way; it is held when all have put theirs in
STAKE_HELD: Final = "held"
STAKE_SHOWN: Final = "over"  # settlement knows the result; the wallet says what becomes of the money
OFFERS: Final = "game-offers"  # by the id of the message with which we offered


class State(StrEnum):
    """How far a match is, for us."""

    OFFERED = "offered"  # by us: waits for others
    INVITED = "invited"  # by somebody else: waits for us
    ACCEPTED = "accepted"  # by us: waits for the referee, or for others still
    PLAYING = "playing"
    OVER = "over"
    CLOSED = "closed"  # it never began
    WATCHING = "watching"


class Offer(msgspec.Struct):
    """An offer on its way to the referee. ``talk``: where the others are told of it; empty: nowhere."""

    id: bytes
    referee: bytes
    talk: bytes
    entropy: bytes
    refused: str = ""
    match: bytes = b""
    wager: Wager | None = None

    def __repr__(self) -> str:
        return f"Offer({self.id.hex()}, {self.refused or self.match.hex()[:8]})"


class Seeking(msgspec.Struct):
    """What we have asked the referee to find somebody for."""

    referee: bytes
    game: str
    params: tuple[tuple[str, Value], ...]
    clock: str
    rated: bool
    entropy: bytes
    refused: str = ""

    def __repr__(self) -> str:
        return f"Seeking({self.game}, {self.clock})"


class Said(msgspec.Struct):
    """What we signed and said, and have not seen in the log yet: kept before it is sent, so it is signed only once."""

    ply: int
    kind: int
    action: str
    draw: bool
    signed: bytes  # a packed ``protocol.transcript.Signed``


class Record(msgspec.Struct):
    """A match as we know it. Times are Unix milliseconds of this device."""

    match: bytes
    referee: bytes
    topic: bytes  # our conversation with the referee
    state: str
    game: str
    params: tuple[tuple[str, Value], ...] = ()
    seats: int = 2
    clock: str = "none"
    rated: bool = False
    players: tuple[bytes, ...] = ()  # by seat, once it has begun
    talk: bytes = b""  # the people's conversation in which it was offered
    until_ms: int = 0
    commitment: bytes = b""
    entropy: bytes = b""
    rematch_of: bytes = b""
    genesis: bytes = b""  # a packed ``Signed``
    seat: int = -1
    plies: int = 0  # entries that we have, without a gap
    said: Said | None = None
    shape: str = ""  # in a simultaneous turn: the move that we committed to, and its salt
    first_seen: bytes = b""  # what we saw before the first entry
    seen: bytes = b""  # what we saw last: our own view of what is hidden
    heard_ms: int = 0  # when the newest entry came
    points: tuple[int, ...] = ()
    reason: str = ""
    audit: str = ""  # after the end: "holds", or what is wrong
    alarm: str = ""  # what the referee was caught at
    refused: str = ""  # why the last thing that we said does not count
    made_ms: int = 0
    wager: Wager | None = None  # what each player puts in
    consent: bool = False  # whether this device has agreed to that
    stake_state: str = ""  # one of STAKE_…, or why our stake was refused
    award: bytes = b""  # what the referee has signed about the stakes

    def __repr__(self) -> str:
        return f"Record({self.game} {self.match.hex()[:8]}, {self.state})"


def entry_name(match: bytes, ply: int) -> bytes:
    """The name of an entry's row."""
    return match + ply.to_bytes(4, "big")
