"""Hypothesis strategies for streams of frames that a client may send."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import strategies as st

from tests.support.rfc6455.case import BINARY, PING, PONG, TEXT, client_frame, fragments

#: (opcode, payload, its frames); pings and pongs may stand between the fragments of a message, as items of their own.
Item = tuple[int, bytes, list[bytes]]


@st.composite
def control_and_data(draw: st.DrawFn) -> list[Item]:
    """A few messages, whole or in fragments, and control frames around them."""
    items: list[Item] = []
    for _ in range(draw(st.integers(0, 8))):
        opcode = draw(st.sampled_from((BINARY, BINARY, TEXT, PING, PONG)))
        if opcode in (PING, PONG):
            payload = draw(st.binary(max_size=125))
            frames = [client_frame(opcode, payload)]
        else:
            text = st.text(max_size=60).map(str.encode)
            payload = draw(text if opcode == TEXT else st.one_of(st.binary(max_size=60), large()))
            size = draw(st.one_of(st.none(), st.integers(1, 70_000)))
            whole = size is None or not payload or len(payload) > 50 * size
            frames = [client_frame(opcode, payload)] if whole else fragments(opcode, payload, size or 1)
        items.append((opcode, payload, frames))
    return items


def large() -> st.SearchStrategy[bytes]:
    """Payloads at the lengths where a header changes."""
    return st.sampled_from((125, 126, 127, 256, 257, 65535, 65536)).map(lambda size: b"\x5a" * size)


def in_chunks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """``data`` cut at some offsets."""
    edges = [0, *sorted(cuts), len(data)]
    return (data[low:high] for low, high in pairwise(edges))


def messages_of(stream: list[Item]) -> list[tuple[bool, bytes]]:
    """(whether it is a text, payload) of every message."""
    return [(opcode == TEXT, payload) for opcode, payload, _ in stream if opcode in (TEXT, BINARY)]
