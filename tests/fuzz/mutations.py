"""Bytes that are nearly right: right ones cut, flipped, spliced, and MessagePack that only looks right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgpack
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError

HEADS = [bytes([head]) for head in (0x80, 0x90, 0xC0, 0xC1, 0xC4, 0xC7, 0xCA, 0xCF, 0xD4, 0xD9, 0xDC, 0xDD, 0xDF, 0xFF)]
BOUNDARIES = [-(2**63), -(2**53), -1, 0, 1, 63, 64, 2**31, 2**32, 2**53 - 1, 2**53, 2**63, 2**64 - 1]


def values() -> st.SearchStrategy[Any]:
    """Anything that MessagePack can hold, floats and odd keys included."""
    keys = st.text(max_size=4) | st.integers(-3, 70) | st.binary(max_size=3)
    leaves = (
        st.none() | st.booleans() | st.sampled_from(BOUNDARIES) | st.integers(-5, 300) | st.floats()
        | st.text(max_size=6) | st.binary(max_size=34) | st.sampled_from([bytes(16), bytes(32), bytes(64)])
    )  # fmt: skip
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=4), max_leaves=16
    )


def packed(value: Any) -> bytes:
    """MessagePack by the implementation that is not ours."""
    data: bytes = msgpack.packb(value)
    return data


@st.composite
def mutated(draw: st.DrawFn, corpus: Sequence[bytes]) -> bytes:
    """A member of ``corpus`` after one to four accidents."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        end = min(len(data), place + draw(st.integers(0, 8)))
        match draw(st.sampled_from(["flip", "cut", "drop", "repeat", "insert", "head", "splice"])):
            case "flip":
                data = (
                    data[:place] + bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in data[place:end]) + data[end:]
                )
            case "cut":
                data = data[:place]
            case "drop":
                data = data[:place] + data[end:]
            case "repeat":
                data = data[:end] + data[place:]
            case "insert":
                data = data[:place] + draw(st.binary(max_size=6)) + data[place:]
            case "head":
                data = data[:place] + draw(st.sampled_from(HEADS)) + data[place + 1 :]
            case "splice":
                other = draw(st.sampled_from(corpus))
                data = data[:place] + other[draw(st.integers(0, max(0, len(other) - 1))) :]
    return data


def outcome(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a call returns, or the ``RemoteProtocolError`` that it raises: the only exception that may escape."""
    try:
        return function(*arguments, **options)
    except RemoteProtocolError as error:
        return error
