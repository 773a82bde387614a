"""The transcript of a match: every statement signed by who made it, linked by hashes, countersigned by the referee.

* The *genesis* is signed by the referee: players and their devices, game, parameters, engine versions, clock, the
  commitment to the seed, everybody's entropy.
* A *statement* is signed by a player's device. It names the match, its place (*ply*: entries count from 0, whatever
  they are) and the link of the entry before it, so it fits nowhere else.
* A *ruling* is signed by the referee for every entry: which statement it is about (or that the referee speaks alone),
  its own clock, all clocks after it, and a digest of what each player sees now, and of what everybody sees.
* ``link(n) = H(link(n−1), statement, ruling)``, each with signer and signature; ``link(−1)`` is that of the genesis. A
  player who answers an entry has signed everything before it, and so the referee cannot tell two stories.

All bodies are canonical: MessagePack arrays in shortest form; bytes that another encoder would write are refused.
A player's device never signs two statements for one ply: two of them convict it (``convicts``). So a client stores what
it signed before it sends it.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Digest, Int, Key, Signature, UInt
from protocol.identity import SigningKey, verify
from protocol.ids import tagged_hash
from protocol.plies import REFEREE_FROM, Act, Fault, Kind
from protocol.rules.clocks import Clocks, Spec

VERSION: Final = 1
_GENESIS: Final = b"chappe/v1/game/genesis\x00"
_STATEMENT: Final = b"chappe/v1/game/statement\x00"
_RULING: Final = b"chappe/v1/game/ruling\x00"
_MAGIC: Final = "chappe-game"
_PLAYERS: Final = frozenset(kind for kind in Kind if kind < REFEREE_FROM)

_Seat = Annotated[int, Meta(ge=0, le=L.GAME_SEATS_MAX - 1)]
_Seats = Meta(min_length=1, max_length=L.GAME_SEATS_MAX)
_Ply = Annotated[int, Meta(ge=0, le=L.GAME_PLIES_MAX)]
_Kind = Annotated[int, Meta(ge=1, le=63)]
_Name = Annotated[str, Meta(max_length=L.GAME_NAME_CHARS_MAX)]
_Action = Annotated[str, Meta(max_length=L.GAME_ACTION_CHARS_MAX)]
_Value = Annotated[str, Meta(max_length=L.GAME_VALUE_CHARS_MAX)]
T = TypeVar("T", bound=msgspec.Struct)


class TranscriptError(ChappeError):
    """A transcript, statement or ruling that cannot be read or is not signed by who it says; the text says why."""

    def __init__(self, text: str, fault: Fault = Fault.MALFORMED) -> None:
        super().__init__(text)
        self.fault = fault


class Seat(msgspec.Struct, frozen=True, array_like=True):
    """A player: the account, and the devices that may sign for it in this match."""

    account: Key
    devices: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=L.DEVICES_MAX)]


class Genesis(msgspec.Struct, frozen=True, array_like=True):
    """What was agreed before the first move."""

    version: Annotated[int, Meta(ge=1, le=1000)]
    match: Key
    game: _Name
    rules_version: Annotated[int, Meta(ge=1, le=1000)]
    params: Annotated[tuple[tuple[_Name, Int | _Value], ...], Meta(max_length=L.GAME_PARAMETERS_MAX)]
    seats: Annotated[tuple[Seat, ...], _Seats]
    clock: Spec
    referee: Key
    commitment: Digest  # to the seed; empty where nothing is drawn
    entropy: Annotated[tuple[Key, ...], Meta(max_length=L.GAME_SEATS_MAX)]  # by seat
    started_ms: UInt
    rated: bool = False
    engines: Annotated[tuple[tuple[_Name, _Name], ...], Meta(max_length=4)] = ()  # (name, version) of whoever judges
    rematch_of: Digest = b""  # the match before it


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What a player says at one place of one match."""

    match: Key
    ply: _Ply
    previous: Key
    kind: _Kind
    seat: _Seat
    action: _Action = ""
    draw: bool = False  # offers a draw with a move
    think_ms: UInt | None = None  # by the player's own stopwatch

    def act(self) -> Act:
        """The same without its place."""
        return Act(Kind(self.kind), self.seat, self.action, self.draw, self.think_ms)


class ClockReading(msgspec.Struct, frozen=True, array_like=True):
    """One player's clock after an entry."""

    left_ms: UInt
    periods: UInt
    lag_ms: UInt


class Ruling(msgspec.Struct, frozen=True, array_like=True):
    """What the referee says of one entry, or says alone: then ``statement`` is empty."""

    match: Key
    ply: _Ply
    previous: Key
    statement: Digest
    kind: _Kind
    seat: _Seat
    action: _Action
    at_ms: UInt
    clocks: Annotated[tuple[ClockReading, ...], _Seats]
    observations: Annotated[tuple[Key, ...], Meta(min_length=2, max_length=L.GAME_SEATS_MAX + 1)]  # seats, then public


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """Canonical bytes, who signed them, and the signature."""

    body: Annotated[bytes, Meta(max_length=L.GAME_SIGNED_BYTES_MAX)]
    signer: Key
    signature: Signature


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One entry of the log."""

    statement: Signed | None
    ruling: Signed


class Transcript(msgspec.Struct, frozen=True, array_like=True):
    """A whole match, as it stands in a file."""

    magic: Annotated[str, Meta(max_length=16)]
    genesis: Signed
    entries: Annotated[tuple[Entry, ...], Meta(max_length=L.GAME_PLIES_MAX)]


# -- signing and opening -----------------------------------------------------------------------------------------------
_DOMAINS: Final[dict[type, bytes]] = {Genesis: _GENESIS, Statement: _STATEMENT, Ruling: _RULING}


def sign(body: Genesis | Statement | Ruling, key: SigningKey) -> Signed:
    """Sign a body under the domain of its type."""
    data = encode_struct(body)
    return Signed(data, key.public, key.sign(_DOMAINS[type(body)], data))


def open_signed(signed: Signed, kind: type[T]) -> T:
    """The body, if its bytes are canonical and the signature is that of its signer. Raises ``TranscriptError``."""
    try:
        body = decode_struct(signed.body, kind)
    except RemoteProtocolError as error:
        raise TranscriptError(f"it cannot be read: {error}") from None
    if encode_struct(body) != signed.body:
        raise TranscriptError("its bytes are not canonical")
    if not verify(signed.signer, _DOMAINS[kind], signed.body, signed.signature):
        raise TranscriptError("its signature does not fit", Fault.BAD_SIGNATURE)
    if isinstance(body, Statement) and body.kind not in _PLAYERS:
        raise TranscriptError(f"a player cannot say what has the number {body.kind}")
    return body


def first_link(genesis: Signed) -> bytes:
    """The link that the first entry continues."""
    return tagged_hash("game/genesis", (encode_struct(genesis),))


def statement_hash(statement: Signed | None) -> bytes:
    """How a ruling names its statement; empty where the referee speaks alone."""
    return b"" if statement is None else tagged_hash("game/statement", (encode_struct(statement),))


def next_link(previous: bytes, entry: Entry) -> bytes:
    """The link after an entry."""
    return tagged_hash("game/link", (previous, encode_struct(entry)))


def match_id(referee: bytes, nonce: bytes) -> bytes:
    """The name of a match: 32 bytes that no other referee can give to one of its own."""
    return tagged_hash("game/match", (referee, nonce))


def readings(clocks: Clocks) -> tuple[ClockReading, ...]:
    """The clocks as the referee signs them."""
    return tuple(ClockReading(*row) for row in zip(clocks.left_ms, clocks.periods, clocks.lag_ms, strict=True))


# -- what proves itself ------------------------------------------------------------------------------------------------
def convicts(one: Signed, other: Signed) -> Statement | None:
    """The first of two statements if they prove by themselves that their device cheated; None: they prove nothing.

    They do if one device signed both, for one ply of one match, and they differ. Nothing else is needed to judge it:
    neither the log nor the referee's word.
    """
    if one.signer != other.signer or one.body == other.body:
        return None
    try:
        first, second = decode_struct(one.body, Statement), decode_struct(other.body, Statement)
        if (first.match, first.ply) != (second.match, second.ply):
            return None  # what most statements are, told without looking at signatures
        open_signed(one, Statement), open_signed(other, Statement)
    except (TranscriptError, RemoteProtocolError):
        return None
    return first


# -- files -------------------------------------------------------------------------------------------------------------
def to_bytes(genesis: Signed, entries: tuple[Entry, ...]) -> bytes:
    """The file of a match: one MessagePack array."""
    return encode_struct(Transcript(_MAGIC, genesis, entries))


def from_bytes(data: bytes) -> Transcript:
    """Read a file. Raises ``TranscriptError``; nothing in it is checked yet."""
    if len(data) > L.GAME_TRANSCRIPT_BYTES_MAX:
        raise TranscriptError(f"it has {len(data)} bytes; the longest match has {L.GAME_TRANSCRIPT_BYTES_MAX}")
    try:
        transcript = decode_struct(data, Transcript)
    except RemoteProtocolError as error:
        raise TranscriptError(f"it is no transcript of a match, or not whole: {error}") from None
    if transcript.magic != _MAGIC:
        raise TranscriptError("it is no transcript of a match")
    return transcript
