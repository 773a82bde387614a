"""Validation of UTF-8 piece by piece (RFC 3629; RFC 6455, section 8.1): an error is seen at the octet that makes it."""

from __future__ import annotations

from codecs import utf_8_decode


def advance(tail: bytes, piece: bytes) -> bytes | None:
    """Validate what follows ``tail``: the start of a character that the last piece left unfinished (at most 3 octets).

    Returns the new tail, or None where no continuation can make this UTF-8.
    """
    data = tail + piece if tail else piece
    if data.isascii():
        return b""
    try:
        taken = utf_8_decode(data, "strict", False)[1]
    except UnicodeDecodeError:
        return None
    rest = data[taken:]
    # CPython's decoder waits for the third octet of a surrogate, though none can make it valid.
    return None if rest[:1] == b"\xed" and rest[1:] >= b"\xa0" else rest


def is_utf8(data: bytes) -> bool:
    """Whether ``data`` is whole characters."""
    return advance(b"", data) == b""
