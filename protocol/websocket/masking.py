"""Masking of payloads (RFC 6455, section 5.3): every octet XOR the octet of a four-octet key in turn.

Python has no XOR of byte strings, so this is where the time of a server in Python goes. Measured on CPython 3.11, one
core, nanoseconds for a payload of 128 B / 1 KiB / 4 KiB / 64 KiB:

=============================================  =====  ======  ======  =======
one XOR of two big integers                      470   1,860   5,770   84,000
the same, key from a table of ones (`REPEAT`)    314   1,625       –        –
`bytes.translate` of every fourth octet          935   2,210   4,370   52,000
a C helper (not installed; measured elsewhere)   110     152       –    1,285
=============================================  =====  ======  ======  =======

So: integers up to `INTEGER_BYTES_MAX` (in the hot path with the table), above it four translations. None of our
dependencies ships a C helper; where one of `HELPERS` can be imported and gives the right answer, it is used instead.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Final

Xor = Callable[[bytes, bytes], bytes]

#: Modules and functions in C with the signature of `xor`, should they be installed.
HELPERS: Final = (("websockets.speedups", "apply_mask"),)
INTEGER_BYTES_MAX: Final = 1536  # where four translations become faster than one XOR of integers
REPEAT_BYTES_MAX: Final = 1024  # payloads up to here take their repeated key from a table, of 140 KiB for the process
_WORDS: Final = tuple(int.from_bytes(b"\0\0\0\1" * count, "big") for count in range(REPEAT_BYTES_MAX // 4 + 1))
#: ``REPEAT[size] * key`` is the key (as an integer) repeated over ``size`` octets, rounded up to whole keys.
REPEAT: Final = tuple(_WORDS[(size + 3) // 4] for size in range(REPEAT_BYTES_MAX + 1))
#: How many bits of it are too many.
SURPLUS: Final = tuple(-size % 4 * 8 for size in range(REPEAT_BYTES_MAX + 1))
_TABLES: Final[list[bytes | None]] = [None] * 256


def xor_in_python(data: bytes, key: bytes) -> bytes:
    """``data`` masked, or unmasked, with the four octets of ``key``."""
    size = len(data)
    if size <= INTEGER_BYTES_MAX:
        repeated = (key * ((size + 3) >> 2))[:size]
        return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
    out = bytearray(data)
    for place, octet in enumerate(key):
        out[place::4] = out[place::4].translate(_table(octet))
    return bytes(out)


def _table(octet: int) -> bytes:
    """The translation of every octet to itself XOR ``octet``; made when first needed, 64 KiB if all are."""
    table = _TABLES[octet]
    if table is None:
        table = _TABLES[octet] = bytes(octet ^ other for other in range(256))
    return table


def find_helper(names: Sequence[tuple[str, str]] = HELPERS) -> Xor | None:
    """The first helper that is installed and right; None: there is none."""
    sample, key = bytes(range(64)) + b"end", b"\x00\x5a\xa5\xff"
    for module, name in names:
        try:
            found: Xor = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
        if found(sample, key) == xor_in_python(sample, key):
            return found
    return None


#: What is used; None: there is no helper in C.
HELPER: Final = find_helper()
xor: Final[Xor] = HELPER or xor_in_python


def rotated(key: bytes, count: int) -> bytes:
    """The key as it stands after ``count`` octets."""
    turn = count & 3
    return key[turn:] + key[:turn] if turn else key
