"""The hot path: as many whole, unfragmented binary messages as a chunk begins with, in one pass.

These are plain functions over the chunk: no object per frame but the message itself. They stop at whatever they do not
know (a control frame, a fragment, a text, an error, a message cut off by the end of the chunk), and `endpoint` takes
that one frame apart. A message over the limit is such a frame too, so the limit holds here as well.

A two-octet head with FIN, binary and the mask bit is ``0x8280 + size``; read together with the four octets that follow
it, one call yields the whole header of a message under 126 octets.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, Protocol

from protocol.websocket.masking import HELPER, REPEAT, REPEAT_BYTES_MAX, SURPLUS, Xor, xor_in_python

_HEAD: Final = Struct(">HI").unpack_from  # head and key; or, two octets on, 16-bit length and key
_MASKED: Final = 0x8280
_PLAIN: Final = 0x8200


class Whole(Protocol):
    """A function of this module."""

    def __call__(self, data: bytes, at: int, size_max: int, messages: list[bytes]) -> int:
        """Append messages of at most ``size_max`` octets, from offset ``at`` on; return where it stopped."""
        ...


def masked_by_integers(data: bytes, at: int, size_max: int, messages: list[bytes]) -> int:
    """What a server receives: append messages of at most ``size_max`` octets, from offset ``at`` on.

    Returns the offset of the first frame that was not taken.
    """
    end = len(data)
    add, head_at, number, repeat, surplus = messages.append, _HEAD, int.from_bytes, REPEAT, SURPLUS
    while end - at >= 6:
        head, key = head_at(data, at)
        size = head - _MASKED
        if 0 <= size < 126:
            start = at + 6
        elif size == 126 and end - at >= 8:
            size, key = head_at(data, at + 2)
            start = at + 8
        else:
            break
        stop = start + size
        if stop > end or size > size_max:
            break
        if size <= REPEAT_BYTES_MAX:
            plain = number(data[start:stop], "big") ^ (key * repeat[size] >> surplus[size])
            add(plain.to_bytes(size, "big"))
        else:
            add(xor_in_python(data[start:stop], data[start - 4 : start]))
        at = stop
    return at


def masked_by(xor: Xor) -> Whole:
    """`masked_by_integers` with a helper in C."""

    def masked(data: bytes, at: int, size_max: int, messages: list[bytes]) -> int:
        end = len(data)
        add, head_at = messages.append, _HEAD
        while end - at >= 6:
            head, _key = head_at(data, at)
            size = head - _MASKED
            if 0 <= size < 126:
                start = at + 6
            elif size == 126 and end - at >= 8:
                size, _key = head_at(data, at + 2)
                start = at + 8
            else:
                break
            stop = start + size
            if stop > end or size > size_max:
                break
            add(xor(data[start:stop], data[start - 4 : start]))
            at = stop
        return at

    return masked


def plain(data: bytes, at: int, size_max: int, messages: list[bytes]) -> int:
    """What a client receives; as `masked_by_integers`."""
    end = len(data)
    add = messages.append
    while end - at >= 2:
        size = (data[at] << 8 | data[at + 1]) - _PLAIN
        if 0 <= size < 126:
            start = at + 2
        elif size == 126 and end - at >= 4:
            size = data[at + 2] << 8 | data[at + 3]
            start = at + 4
        else:
            break
        stop = start + size
        if stop > end or size > size_max:
            break
        add(data[start:stop])
        at = stop
    return at


masked: Final[Whole] = masked_by_integers if HELPER is None else masked_by(HELPER)
