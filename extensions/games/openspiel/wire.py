"""What the referee and the engine's process say to each other: a length (4 bytes, big endian), then msgpack.

A position is named by a key, a hash over the game and all that was done in it; the engine keeps the newest ones. Where
it does not have a position it says so, and is told the whole history.
"""

from __future__ import annotations

import hashlib
from typing import IO, Final

import msgspec

#: One action, or one for each seat of a simultaneous turn.
Step = int | tuple[int, ...]
_LENGTH: Final = 4
BYTES_MAX: Final = 16 << 20  # of a message: the outcomes of the largest chance node have some hundred kilobytes


class Described(msgspec.Struct, frozen=True):
    """A game that the engine can load as it is."""

    name: str
    seats: int
    hidden: bool  # players see different things
    chance: str  # NONE, EXPLICIT or SAMPLED: whether the engine itself throws dice that nobody can repeat
    plain: bool  # turns, simultaneous turns and chance, in numbered actions; no populations (mean field)
    watchable: bool  # it says what a player sees


class Describe(msgspec.Struct, frozen=True, tag=1):
    """Ask for all games. Answer: a list of ``Described``."""


class Look(msgspec.Struct, frozen=True, tag=2):
    """Ask about a position: the one with ``base`` after ``step``, or at the end of ``history``."""

    game: str
    base: bytes = b""
    step: Step | None = None
    history: tuple[Step, ...] | None = None


class Observe(msgspec.Struct, frozen=True, tag=3):
    """What a seat sees. Answer: ``Text``."""

    game: str
    base: bytes
    seat: int | None


class Chances(msgspec.Struct, frozen=True, tag=4):
    """What chance can do in a position. Answer: ``Outcomes``."""

    game: str
    base: bytes


class Exercise(msgspec.Struct, frozen=True, tag=5):
    """Play random games, with restored copies and wrong actions at every ply. Answer: ``Exercised``."""

    game: str
    games: int
    seed: int
    wrong: int  # wrong actions tried at each ply
    plies_max: int


Request = Describe | Look | Observe | Chances | Exercise


class Position(msgspec.Struct, frozen=True, tag=1):
    """Who may do what: by seat, (action, its name). ``points`` are the engine's returns, once it is over."""

    key: bytes
    over: bool
    chance: bool
    together: bool
    actions: tuple[tuple[tuple[int, str], ...], ...]
    points: tuple[float, ...]


class Text(msgspec.Struct, frozen=True, tag=2):
    """What a seat sees."""

    text: str


class Outcomes(msgspec.Struct, frozen=True, tag=3):
    """(action, probability), by action."""

    outcomes: tuple[tuple[int, float], ...]


class Games(msgspec.Struct, frozen=True, tag=4):
    """All games."""

    games: tuple[Described, ...]


class Lost(msgspec.Struct, frozen=True, tag=5):
    """The engine does not have that position (any more): tell it the history."""


class Bad(msgspec.Struct, frozen=True, tag=6):
    """It cannot be done; ``illegal``: since the action is not legal."""

    why: str
    illegal: bool = False


class Exercised(msgspec.Struct, frozen=True, tag=7):
    """What random games came to. All of ``wrong`` were refused, all of ``restored`` were equal, or it is ``Bad``."""

    plies: int
    restored: int
    wrong: int
    ended: int


Answer = Position | Text | Outcomes | Games | Lost | Bad | Exercised


def key_after(base: bytes, step: Step) -> bytes:
    """The key of a position from the one before."""
    return hashlib.blake2b(base + msgspec.msgpack.encode(step), digest_size=16).digest()


def first_key(game: str) -> bytes:
    """The key of a game's first position."""
    return hashlib.blake2b(game.encode(), digest_size=16).digest()


def write(stream: IO[bytes], message: Request | Answer) -> None:
    """Send one message. Raises ``OSError``."""
    data = msgspec.msgpack.encode(message)
    stream.write(len(data).to_bytes(_LENGTH, "big") + data)
    stream.flush()


def read(stream: IO[bytes]) -> bytes | None:
    """The bytes of one message; None at the end of the stream, or where it is no message."""
    head = stream.read(_LENGTH)
    size = int.from_bytes(head, "big")
    if len(head) < _LENGTH or size > BYTES_MAX:
        return None
    data = stream.read(size)
    return data if len(data) == size else None
