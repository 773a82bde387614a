"""Padding to buckets, so that the relay learns a size class and not a length.

Layout: 4 bytes length (big endian), the data, zeros up to the bucket. Buckets: ``limits.PADDING_BUCKETS``.
"""

from __future__ import annotations

from protocol.errors import RemoteProtocolError
from protocol.limits import PADDING_BUCKETS

_PREFIX = 4


def pad(data: bytes) -> bytes:
    """``data`` in the smallest bucket that holds it. Raises ``ValueError`` beyond the largest."""
    need = len(data) + _PREFIX
    for bucket in PADDING_BUCKETS:
        if need <= bucket:
            return len(data).to_bytes(_PREFIX, "big") + data + bytes(bucket - need)
    raise ValueError(f"{len(data)} bytes do not fit the largest bucket of {PADDING_BUCKETS[-1] - _PREFIX}")


def pad_to(data: bytes, size: int) -> bytes:
    """``data`` in the bucket of this size, as ``unpad`` found it. Raises ``ValueError`` where it does not fit."""
    rest = size - _PREFIX - len(data)
    if size not in PADDING_BUCKETS or rest < 0:
        raise ValueError(f"{len(data)} bytes do not fit a bucket of {size}")
    return len(data).to_bytes(_PREFIX, "big") + data + bytes(rest)


def unpad(padded: bytes) -> bytes:
    """The data inside. Raises ``RemoteProtocolError`` (not fatal) if it is no padding of ours."""
    length = int.from_bytes(padded[:_PREFIX], "big")
    end = _PREFIX + length
    if len(padded) not in PADDING_BUCKETS or end > len(padded) or padded[end:].strip(b"\0"):
        raise RemoteProtocolError("not a padded content", fatal=False)
    return padded[_PREFIX:end]
