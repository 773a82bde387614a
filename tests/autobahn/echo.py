"""An echo server over `protocol.websocket` and plain trio sockets: the smallest program that uses the package fully."""

from __future__ import annotations

import trio

from protocol.websocket import Accepted, Opening, Policy, Refused, Request, Server, State, Text, frame, text_frame
from protocol.websocket.upgrade import upgrade_required

RECEIVE_BYTES = 64 * 1024
MESSAGE_BYTES_MAX = 16 * 2**20  # the largest of the testsuite
LINGER_S = 1.0


async def serve(stream: trio.SocketStream) -> None:
    """One connection, from the first byte to the last."""
    try:
        accepted = await _open(stream)
        if accepted is not None:
            await _echo(stream, accepted.rest)
        with trio.move_on_after(LINGER_S):
            await stream.send_eof()
            while await stream.receive_some(RECEIVE_BYTES):
                pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await stream.aclose()


async def _open(stream: trio.SocketStream) -> Accepted | None:
    opening = Opening(Policy(path=b"/"))
    while True:
        data = bytes(await stream.receive_some(RECEIVE_BYTES))
        if not data:
            return None
        match opening.receive(data):
            case Accepted() as accepted:
                await stream.send_all(accepted.response())
                return accepted
            case Refused() as refused:
                await stream.send_all(refused.response())
                return None
            case Request():
                await stream.send_all(upgrade_required().response())
                return None


async def _echo(stream: trio.SocketStream, data: bytes) -> None:
    server = Server(message_bytes_max=MESSAGE_BYTES_MAX, accepts_text=True)
    while True:
        messages = server.receive(data)
        out = [text_frame(message) if isinstance(message, Text) else frame(message) for message in messages]
        control = server.outgoing()
        out.insert(0 if server.state is State.OPEN else len(out), control)  # pongs first, the close frame last
        if any(out):
            await stream.send_all(b"".join(out))
        if server.state is State.CLOSED:
            return
        data = bytes(await stream.receive_some(RECEIVE_BYTES))
        if not data:
            server.receive_eof()
