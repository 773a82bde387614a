"""Streams over sockets that were accepted elsewhere."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from relay.dataplane.handover import SecureStream, stream_of
from tests.support.certificates import certificate


async def _pair(tmp_path: Path) -> tuple[trio.abc.Stream, trio.SSLStream[trio.SocketStream]]:
    """The plane's end, after its handshake, and the client's."""
    cert_file, key_file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    secure = context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False)
    client = trio.SSLStream(
        trio.SocketStream(trio.socket.from_stdlib_socket(theirs)),
        ssl.create_default_context(cafile=str(cert_file)), server_hostname="127.0.0.1", https_compatible=True,
    )  # fmt: skip

    async def shake() -> None:
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(secure)
            else:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake)
        await client.do_handshake()
    stream = stream_of(secure)
    assert isinstance(stream, SecureStream)
    return stream, client


async def test_a_plain_socket() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    async with stream_of(ours) as stream:
        theirs.send(b"hello")
        assert bytes(await stream.receive_some()) == b"hello"
    theirs.close()


async def test_more_than_the_kernel_takes_at_once(tmp_path: Path) -> None:
    stream, client = await _pair(tmp_path)
    data = bytes(range(256)) * 8192  # 2 MiB
    async with stream, client, trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, data)
        received = b""
        while len(received) < len(data):
            received += bytes(await client.receive_some())
        assert received == data
        await stream.wait_send_all_might_not_block()


async def test_waiting_for_what_comes(tmp_path: Path) -> None:
    stream, client = await _pair(tmp_path)
    async with stream, client, trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(b"late")
            await client.aclose()

        nursery.start_soon(later)
        assert await stream.receive_some(100) == b"late"
        assert await stream.receive_some() == b""


async def test_a_peer_that_is_gone(tmp_path: Path) -> None:
    stream, client = await _pair(tmp_path)
    await trio.aclose_forcefully(client.transport_stream)
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(bytes(10_000_000))
    await stream.aclose()


async def test_bytes_that_are_no_tls(tmp_path: Path) -> None:
    stream, client = await _pair(tmp_path)
    await client.transport_stream.send_all(b"plain words")
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await stream.aclose()
    await trio.aclose_forcefully(client)
