"""The sending side of a socket: order, bounds, stalls and ends. ``test_listener`` has it at work with websockets."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from protocol.websocket import close_frame
from protocol.websocket import frame as binary_frame
from relay import bounds as B
from relay.config import Settings
from relay.socket_peer import SocketPeer


class Listening:
    """A handler that counts ``on_writable``."""

    def __init__(self) -> None:
        self.writable = 0

    def on_message(self, data: bytes) -> None:
        """Not used."""

    def on_text(self) -> None:
        """Not used."""

    def on_writable(self) -> None:
        """Counted."""
        self.writable += 1

    def on_closed(self) -> None:
        """Not used."""


def peer_over(stream: trio.abc.Stream, **settings: int) -> SocketPeer:
    """A peer with some settings."""
    return SocketPeer(stream, "192.0.2.1", Settings(**settings))  # type: ignore[arg-type]


async def sockets() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of a real socket with small kernel buffers."""
    one, other = trio.socket.socketpair()
    for end in (one, other):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return trio.SocketStream(one), trio.SocketStream(other)


async def test_what_waits_is_written_together_and_in_order(nursery: trio.Nursery) -> None:
    mine, theirs = trio.testing.memory_stream_pair()
    peer = peer_over(theirs)
    peer.send_nowait(b"one")
    peer.send_framed_nowait(binary_frame(b"two"))
    assert (peer.address, peer.buffered_bytes) == ("192.0.2.1", 10)
    nursery.start_soon(peer.write)
    assert await mine.receive_some() == binary_frame(b"one") + binary_frame(b"two")
    await trio.testing.wait_all_tasks_blocked()
    assert peer.buffered_bytes == 0
    peer.send_nowait(b"three")
    assert await mine.receive_some() == binary_frame(b"three")
    peer.close_nowait(4000, "end", b"last")
    peer.send_nowait(b"too late")
    await peer.send_all(b"too late as well")
    peer.close_nowait(4001, "again")
    assert await mine.receive_some() == binary_frame(b"last") + close_frame(4000, "end")
    assert peer.closing.is_set()
    peer.finish()
    await peer.flushed.wait()


async def test_a_real_socket_takes_what_it_can(nursery: trio.Nursery) -> None:
    theirs, mine = await sockets()
    peer = peer_over(theirs, outbound_bytes_max=100_000)
    peer.handler = listening = Listening()
    nursery.start_soon(peer.write)
    for number in range(300):
        peer.send_nowait(number.to_bytes(2, "big") * 500)
    assert peer.is_full
    await trio.testing.wait_all_tasks_blocked()
    assert 200_000 < peer.buffered_bytes < 302_000
    received = b""
    while len(received) < 300 * 1004:
        received += await mine.receive_some(10_000)
    assert received == b"".join(binary_frame(number.to_bytes(2, "big") * 500) for number in range(300))
    await trio.testing.wait_all_tasks_blocked()
    assert listening.writable == 1
    assert peer.buffered_bytes == 0
    peer.finish()
    await peer.flushed.wait()
    await mine.aclose()
    await theirs.aclose()


async def test_a_real_socket_that_takes_nothing(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    theirs, mine = await sockets()
    peer = peer_over(theirs, stalled_ms=5000)
    peer.send_nowait(bytes(500_000))
    begin = trio.current_time()
    await peer.write()
    assert 5 <= trio.current_time() - begin < 6
    assert peer.is_stalled
    assert peer.ended.is_set()
    peer.send_nowait(b"nobody is there")
    assert peer.buffered_bytes < 500_100
    await peer.room()
    await mine.aclose()
    await theirs.aclose()


async def test_a_slow_reader_is_not_a_stalled_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    mine, theirs = trio.testing.lockstep_stream_pair()
    peer = peer_over(theirs, stalled_ms=5000)
    nursery.start_soon(peer.write)
    for _ in range(6):
        peer.send_nowait(bytes(B.WRITE_SLICE_BYTES))
    for _ in range(6):
        await trio.sleep(4)
        await mine.receive_some(B.WRITE_SLICE_BYTES)
    assert not peer.ended.is_set()
    assert not peer.is_stalled


async def test_a_socket_that_is_gone(nursery: trio.Nursery) -> None:
    for make in (sockets, None):
        theirs: trio.abc.Stream
        mine: trio.abc.Stream
        if make is not None:
            theirs, mine = await make()
        else:
            theirs, mine = trio.testing.memory_stream_pair()
        peer = peer_over(theirs)
        await mine.aclose()
        for _ in range(3):
            peer.send_nowait(bytes(100_000))
        await peer.write()
        assert peer.flushed.is_set()
        assert not peer.is_stalled
        await theirs.aclose()


async def test_the_stream_of_trio_websocket() -> None:
    mine, theirs = trio.testing.memory_stream_pair()
    peer = peer_over(theirs)
    await peer.wait_send_all_might_not_block()
    await mine.send_all(b"hello")
    assert await peer.receive_some(3) == b"hel"
    assert await peer.receive_some(3) == b"lo"
    assert peer.head == b"hello"
    await mine.send_eof()
    assert await peer.receive_some(3) == b""
    assert peer.ended.is_set()
    await peer.aclose()
    assert peer.buffered_bytes == 0  # there was no websocket yet, so there is nothing to say


@pytest.mark.parametrize("decided", [False, True])
async def test_bytes_without_a_whole_message(decided: bool) -> None:
    mine, theirs = trio.testing.memory_stream_pair()
    peer = peer_over(theirs)
    if decided:
        peer.login_decided_nowait()
    ping = b"\x89\x80" + bytes(4)  # control frames are no whole message
    await mine.send_all(b"GET / HTTP/1.1\r\n\r\n" + ping * 50_000)
    received = 0
    while data := await peer.receive_some(10_000):
        received += len(data)
        if received >= 300_000:
            break
    assert (received >= 300_000) == decided
    assert peer.closing.is_set() != decided
    peer.message_received()
    await mine.send_all(ping)
    assert await peer.receive_some(10_000) != b""
