"""Following the bytes of a peer: where it is, what it announces, how long it lets us wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import WEBSOCKET_FRAGMENTS_MAX as FRAGMENTS_MAX
from relay.admission.framewatch import FrameWatch
from tests.support.bad_peers import head, ws

HEAD = head("relay.example")


def opened(message_max: int = 1000) -> FrameWatch:
    watch = FrameWatch(1024, message_max, 10_000)
    assert watch.feed(HEAD, 0) is None
    assert not watch.is_head
    return watch


def test_a_head_has_a_bound() -> None:
    watch = FrameWatch(1024, 1000, 10_000)
    assert watch.feed(HEAD[:20], 0) is None
    assert watch.is_head
    assert not watch.is_midway
    assert "HTTP head" in str(watch.feed(b"x" * 1024, 0))
    assert "HTTP head" in str(FrameWatch(10, 1000, 10_000).feed(HEAD, 0))


@pytest.mark.parametrize("size", [1001, 65_536, 1 << 40, (1 << 63) + 1])
def test_what_is_announced_is_judged_from_the_header(size: int) -> None:
    assert "at most 1000" in str(opened().feed(ws(2, b"", claim=size), 0))


def test_fragments_add_up_and_are_counted() -> None:
    watch = opened()
    assert watch.feed(ws(2, bytes(600), fin=False), 0) is None
    assert watch.feed(ws(9, b"ping"), 0) is None  # a control frame may come between
    assert watch.is_midway
    assert "at most" in str(watch.feed(ws(0, bytes(401)), 0))
    watch = opened()
    assert watch.feed(ws(2, b"", fin=False) + ws(0, b"", fin=False) * (FRAGMENTS_MAX - 1), 0) is None
    assert "fragments" in str(watch.feed(ws(0, b"", fin=False), 0))


def test_frames_without_a_mask_are_followed_too() -> None:
    watch = opened()
    assert watch.feed(b"\x82\x02ab\x82", 0) is None
    assert watch.is_midway
    assert watch.feed(b"\x00", 0) is None
    assert not watch.is_midway


FRAMES = st.sampled_from(
    [ws(2, b"x" * 10), ws(2, b""), ws(9, b"p"), ws(2, bytes(200)), ws(2, b"a", fin=False) + ws(10, b"") + ws(0, b"b")]
)


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_wherever_the_bytes_are_cut(frames: list[bytes], cuts: list[int]) -> None:
    data = HEAD + b"".join(frames)
    watch = FrameWatch(1024, 1000, 10_000)
    position, turn = 0, 0
    while position < len(data):
        step = cuts[turn % len(cuts)]
        assert watch.feed(data[position : position + step], 0) is None
        position, turn = position + step, turn + 1
    assert not watch.is_midway
    assert watch.message_bytes == 0


def test_silence_in_the_middle_of_a_frame_is_noticed() -> None:
    watch = opened()
    watch.wait(0)
    assert not watch.is_overdue(10**9)  # silence between messages is for PING to notice
    watch.feed(ws(2, b"x", claim=500), 0)
    assert not watch.is_overdue(10**9)  # we do not read: that is not the peer's fault
    watch.wait(1000)
    assert not watch.is_overdue(10_999)
    assert watch.is_overdue(11_000)
    watch.feed(bytes(499), 11_001)
    watch.wait(11_001)
    assert not watch.is_overdue(10**9)


def test_a_trickle_is_noticed() -> None:
    watch = opened()
    watch.feed(ws(2, b"x", claim=900), 0)
    now_ms, overdue = 0, False
    while not overdue:
        watch.wait(now_ms)
        now_ms += 4000
        overdue = watch.is_overdue(now_ms)
        watch.feed(b"x", now_ms)
    assert now_ms == 12_000
