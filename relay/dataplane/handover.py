"""Sockets of the plane that leave it for a service of HTTP: trio streams over a socket that was accepted elsewhere."""

from __future__ import annotations

import ssl
from socket import socket

import trio

from relay import bounds as B


def stream_of(sock: socket) -> trio.abc.Stream:
    """A trio stream over a connected, non-blocking socket; it owns the socket from now on."""
    if isinstance(sock, ssl.SSLSocket):
        return SecureStream(sock)
    return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


class SecureStream(trio.abc.Stream):
    """A trio stream over a TLS connection whose handshake is over."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises ``trio.BrokenResourceError`` where the peer is gone."""
        await trio.lowlevel.checkpoint()
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                try:
                    sent += self._sock.send(view[sent : sent + B.TLS_RECORD_BYTES])
                except ssl.SSLWantReadError:
                    await trio.lowlevel.wait_readable(self._sock)
                except (ssl.SSLWantWriteError, BlockingIOError):
                    await trio.lowlevel.wait_writable(self._sock)
                except OSError as error:
                    raise trio.BrokenResourceError from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel takes bytes."""
        await trio.lowlevel.wait_writable(self._sock)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, or wait for it; empty at the end."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                return self._sock.recv(max_bytes or B.READ_BYTES)
            except (ssl.SSLWantReadError, BlockingIOError):
                await trio.lowlevel.wait_readable(self._sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._sock)
            except OSError as error:
                raise trio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Close at once: what matters was sent before."""
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        await trio.lowlevel.checkpoint()
