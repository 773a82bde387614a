"""What a case is, how it is played, and how its outcome is judged. Frames are built and read here, not by our code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"  # the key of the examples in RFC 6455, section 5.7


class Endpoint(Protocol):
    """Something that echoes whole messages, behind an opened websocket."""

    def feed(self, data: bytes) -> bytes:
        """What it sends in return for these bytes; in the same or in a later call."""
        ...

    def end(self) -> bytes:
        """What else it sends up to the end of its stream. The case has closed, or must have been closed."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """``sent`` goes to the endpoint chunk by chunk. ``echoes``: (opcode, payload) of the messages that come back.

    ``closes``: the codes that its close frame may have, None for one without a code. The order between pongs and
    echoes is left to the endpoint.
    """

    id: str
    what: str
    sent: tuple[bytes, ...]
    echoes: tuple[tuple[int, bytes], ...] = ()
    pongs: tuple[bytes, ...] = ()
    closes: tuple[int | None, ...] = (1000,)

    @property
    def size(self) -> int:
        """Octets sent."""
        return sum(map(len, self.sent))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back."""

    echoes: tuple[tuple[int, bytes], ...]
    pongs: tuple[bytes, ...]
    closes: tuple[int | None, ...]
    close_is_last: bool


def mask(payload: bytes, key: bytes = KEY) -> bytes:
    """Section 5.3, in the fewest lines."""
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def client_frame(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    """One masked frame."""
    size = len(payload)
    first = fin << 7 | reserved << 4 | opcode
    if size < 126:
        head = bytes((first, 128 | size))
    elif size < 65536:
        head = bytes((first, 128 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 128 | 127)) + size.to_bytes(8, "big")
    return head + KEY + mask(payload)


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return client_frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def fragments(opcode: int, payload: bytes, size: int) -> list[bytes]:
    """One message in frames of ``size`` octets."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(pieces) - 1
    return [client_frame(0 if n else opcode, piece, fin=n == last) for n, piece in enumerate(pieces)]


def chopped(data: bytes, size: int) -> tuple[bytes, ...]:
    """The same octets in writes of ``size``."""
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def server_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames of a server's stream, which must be whole, unmasked and unfragmented."""
    at = 0
    while at < len(data):
        first, size = data[at], data[at + 1]
        assert first & 0xF0 == 0x80, f"the first octet of a frame is {first:#x}"
        assert size < 128, "a server's frame is masked"
        start = at + 2
        if size > 125:
            wide = 2 if size == 126 else 8
            size = int.from_bytes(data[start : start + wide], "big")
            start += wide
        at = start + size
        assert at <= len(data), "the stream ends within a frame"
        yield first & 15, data[start:at]


def outcome_of(data: bytes) -> Outcome:
    """Sort what came back."""
    frames = list(server_frames(data))
    closes = [payload for opcode, payload in frames if opcode == CLOSE]
    return Outcome(
        tuple(frame for frame in frames if frame[0] in (TEXT, BINARY)),
        tuple(payload for opcode, payload in frames if opcode == PONG),
        tuple(int.from_bytes(payload[:2], "big") if payload else None for payload in closes),
        not closes or frames[-1][0] == CLOSE,
    )


def play(case: Case, endpoint: Endpoint, chop: int = 0) -> Outcome:
    """Run a case; ``chop``: in writes of that many octets instead of its own."""
    chunks = chopped(b"".join(case.sent), chop) if chop else case.sent
    came = [endpoint.feed(chunk) for chunk in chunks]
    return outcome_of(b"".join([*came, endpoint.end()]))


def verdict(case: Case, outcome: Outcome) -> str | None:
    """What is wrong, in a line; None: it passed."""
    if len(outcome.closes) != 1 or outcome.closes[0] not in case.closes:
        return f"{case.id}: closed with {outcome.closes}, wanted one of {case.closes}"
    if not outcome.close_is_last:
        return f"{case.id}: something was sent after the close frame"
    if outcome.echoes != case.echoes:
        return f"{case.id}: {len(outcome.echoes)} echoes, wanted {len(case.echoes)}, or their bytes differ"
    if outcome.pongs != case.pongs:
        return f"{case.id}: pongs {outcome.pongs}, wanted {case.pongs}"
    return None
