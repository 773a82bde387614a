"""The network in memory behaves as TCP does where trio and we rely on it."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio
from trio.testing import check_half_closeable_stream, wait_all_tasks_blocked

from clients.memory_network import BUFFER_BYTES, MemoryNetwork, MemorySocket, memory_network


async def connected(network: MemoryNetwork) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of a connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()[:2]
    client = await trio.open_tcp_stream(host, port)
    server = await listener.accept()
    await listener.aclose()
    return client, server


async def test_it_is_a_stream_as_trio_wants_one() -> None:
    with memory_network() as network:

        async def make() -> Any:
            return await connected(network)

        async def make_clogged() -> Any:
            one, other = await connected(network)
            for stream in (one, other):
                await stream.send_all(b"x" * BUFFER_BYTES)
            return one, other

        await check_half_closeable_stream(make, make_clogged)


async def test_bytes_go_both_ways_and_end() -> None:
    with memory_network() as network:
        client, server = await connected(network)
        assert network.connections == 1
        assert (server.socket.getpeername()[0], client.socket.getpeername()) == ("127.0.0.1",
                                                                               server.socket.getsockname())  # fmt: skip
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"y" * (BUFFER_BYTES * 3))
            got = b""
            while len(got) < BUFFER_BYTES * 3:
                got += await server.receive_some(10_000)
        await server.send_all(b"bye")
        await server.send_eof()
        assert [await client.receive_some(), await client.receive_some()] == [b"bye", b""]
        await client.aclose()
        await client.aclose()
        assert network.connections == 0
        with pytest.raises(trio.ClosedResourceError):
            await server.send_all(b"too late")


async def test_nobody_listens_or_the_network_is_down() -> None:
    with memory_network() as network:
        with pytest.raises(OSError, match=r"all attempts to connect|refused"):
            await trio.open_tcp_stream("127.0.0.1", 9)
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        network.is_down = True
        with pytest.raises(OSError, match=r"all attempts to connect|refused"):
            await trio.open_tcp_stream("127.0.0.1", port)
        with pytest.raises(OSError, match=r"in use"):
            await trio.open_tcp_listeners(port, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_accept_until_closed, listener)
            await wait_all_tasks_blocked()
            await listener.aclose()
        assert not network.listening


async def _accept_until_closed(listener: trio.SocketListener) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_a_cut_cable_is_seen_by_both_ends() -> None:
    with memory_network() as network:
        client, server = await connected(network)

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await client.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            network.cut()
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(b"x")
        assert network.connections == 0


async def test_what_it_is_not() -> None:
    with memory_network() as network:
        with pytest.raises(OSError, match=r"(?i)family not supported"):
            trio.socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        plain = trio.socket.socket()
        assert isinstance(plain, MemorySocket)
        assert (plain.family, plain.type, plain.proto) == (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
        with pytest.raises(OSError) as raised:  # noqa: PT011 - its number is looked at
            plain.getpeername()
        assert raised.value.errno == errno.ENOTCONN
        with pytest.raises(OSError) as raised:  # noqa: PT011 - its number is looked at
            await plain.recv(1)
        assert raised.value.errno == errno.ENOTCONN
        plain.close()
        assert plain.fileno() == -1
        assert network.connections == 0
    real = trio.socket.socket()
    assert not isinstance(real, MemorySocket)
    real.close()
