"""The TLS presentation language as RFC 9420 section 2.1 uses it: strict reading, canonical writing.

Strict means: vector headers in their shortest form, presence octets 0 or 1, no byte left over. A structure therefore
has exactly one encoding, and what was received can be hashed and compared as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from protocol.mls.errors import DecodeError

T = TypeVar("T")

_SHORT: Final = tuple(bytes((n,)) for n in range(64))
_MAX_VECTOR: Final = 2**30 - 1


def varint(n: int) -> bytes:
    """The header of a vector of `n` bytes (RFC 9420 section 2.1.2)."""
    if n < 64:
        return _SHORT[n]
    if n < 0x4000:
        return (n | 0x4000).to_bytes(2, "big")
    if n <= _MAX_VECTOR:
        return (n | 0x8000_0000).to_bytes(4, "big")
    raise ValueError(f"a vector of {n} bytes is longer than the 2^30 - 1 that its header can state")


def vec(data: bytes) -> bytes:
    """`opaque data<V>`."""
    return varint(len(data)) + data


def vec_of(items: Iterable[bytes]) -> bytes:
    """A vector of already encoded items."""
    return vec(b"".join(items))


def u8(n: int) -> bytes:
    """A uint8."""
    return n.to_bytes(1, "big")


def u16(n: int) -> bytes:
    """A uint16."""
    return n.to_bytes(2, "big")


def u32(n: int) -> bytes:
    """A uint32."""
    return n.to_bytes(4, "big")


def u64(n: int) -> bytes:
    """A uint64."""
    return n.to_bytes(8, "big")


def optional(data: bytes | None) -> bytes:
    """`optional<T>` of an already encoded value."""
    return b"\x00" if data is None else b"\x01" + data


class Reader:
    """A cursor over received bytes. Every method raises `DecodeError` where the bytes do not fit."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0
        self.end = len(data)

    def take(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        start = self.position
        stop = start + n
        if stop > self.end:
            raise DecodeError("truncated structure")
        self.position = stop
        return self.data[start:stop]

    def u8(self) -> int:
        """A uint8."""
        position = self.position
        if position >= self.end:
            raise DecodeError("truncated structure")
        self.position = position + 1
        return self.data[position]

    def u16(self) -> int:
        """A uint16."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """A uint32."""
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        """A uint64."""
        return int.from_bytes(self.take(8), "big")

    def varint(self) -> int:
        """A vector header, in its shortest form only."""
        first = self.u8()
        prefix = first >> 6
        if prefix == 0:
            return first
        if prefix == 1:
            n = (first & 0x3F) << 8 | self.u8()
            if n < 64:
                raise DecodeError("vector length not in its shortest form")
            return n
        if prefix == 2:
            n = (first & 0x3F) << 24 | int.from_bytes(self.take(3), "big")
            if n < 0x4000:
                raise DecodeError("vector length not in its shortest form")
            return n
        raise DecodeError("vector length with an invalid prefix")

    def vec(self) -> bytes:
        """`opaque data<V>`."""
        return self.take(self.varint())

    def optional(self) -> bool:
        """The presence octet of an `optional<T>`."""
        present = self.u8()
        if present > 1:
            raise DecodeError("presence octet is neither 0 nor 1")
        return present == 1

    def items(self, parse: Callable[[Reader], T]) -> tuple[T, ...]:
        """`T items<V>`: the vector's bytes must be used up exactly by whole items."""
        inner = Reader(self.vec())
        found: list[T] = []
        while inner.position < inner.end:
            found.append(parse(inner))
        return tuple(found)

    def u16s(self) -> tuple[int, ...]:
        """`uint16 items<V>`."""
        data = self.vec()
        if len(data) % 2:
            raise DecodeError("a vector of uint16 has an odd number of bytes")
        return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))

    def u32s(self) -> tuple[int, ...]:
        """`uint32 items<V>`."""
        data = self.vec()
        if len(data) % 4:
            raise DecodeError("a vector of uint32 has a length that is not a multiple of 4")
        return tuple(int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4))

    def rest(self) -> bytes:
        """All bytes that are left."""
        return self.take(self.end - self.position)

    def done(self) -> None:
        """States that the structure ends here."""
        if self.position != self.end:
            raise DecodeError("bytes left over after the structure")


def parse_exact(data: bytes, parse: Callable[[Reader], T]) -> T:
    """One structure that is exactly `data`."""
    reader = Reader(data)
    value = parse(reader)
    reader.done()
    return value
