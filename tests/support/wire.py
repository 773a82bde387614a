"""A client at the level of frames, over a real websocket: says what it is told to, good or bad, hears everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from clients.websocket import open_websocket
from protocol import frames as F
from protocol import requests as R
from protocol.codec import decode_frames, decode_struct, encode_batch, encode_struct
from protocol.frames import SUBPROTOCOL, AnyFrame, Frame
from tests.support.people import Person

T = TypeVar("T")
Got = TypeVar("Got", bound=Frame)
#: Nothing here takes long; a test that waits longer than this has failed.
TIMEOUT_S = 20.0


class Wire:
    """One websocket. ``heard`` keeps every frame in order."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.heard: list[AnyFrame] = []
        self._taken = 0
        self._rid = 1000

    async def send(self, *frames: Frame) -> None:
        """One frame as a message, or several as a batch."""
        data = encode_struct(frames[0]) if len(frames) == 1 else encode_batch(cast("list[Frame]", list(frames)))
        await self.websocket.send_message(data)

    async def send_raw(self, data: bytes | str) -> None:
        """Any message at all."""
        await self.websocket.send_message(data)

    async def receive(self) -> AnyFrame:
        """The next frame; PINGs are answered, other frames stay in ``heard`` too."""
        with trio.fail_after(TIMEOUT_S):
            data = await self.websocket.get_message()
        assert isinstance(data, bytes)
        (frame,) = decode_frames(data, from_client=False)
        self.heard.append(frame)
        return frame

    async def expect(self, type_: type[Got], where: Callable[[Got], bool] = lambda frame: True) -> Got:
        """The next frame of a type that was not expected before; others are passed over (and kept)."""
        position = self._taken
        while True:
            while position < len(self.heard):
                frame = self.heard[position]
                position += 1
                if isinstance(frame, type_) and where(frame):
                    self._taken = position
                    return frame
            await self.receive()

    async def answer(self, rid: int) -> F.Ok | F.Err:
        """The answer to a request, wherever it stands."""
        seen = 0
        while True:
            for frame in self.heard[seen:]:
                if isinstance(frame, (F.Ok, F.Err)) and frame.rid == rid:
                    return frame
            seen = len(self.heard)
            await self.receive()

    def rid(self) -> int:
        """A request number of its own."""
        self._rid += 1
        return self._rid

    async def ask(self, frame: F.Pub | F.Sub | F.Req | F.Unsub) -> F.Ok | F.Err:
        """Send a request under a fresh number and wait for its answer."""
        frame = msgspec.structs.replace(frame, rid=self.rid())
        await self.send(frame)
        return await self.answer(frame.rid)

    async def ok(self, frame: F.Pub | F.Sub | F.Req | F.Unsub, type_: type[T]) -> T:
        """The typed result of a request that must succeed."""
        answer = await self.ask(frame)
        assert isinstance(answer, F.Ok), answer
        return decode_struct(answer.result, type_)

    async def err(self, frame: F.Pub | F.Sub | F.Req | F.Unsub) -> F.Err:
        """The refusal of a request that must fail."""
        answer = await self.ask(frame)
        assert isinstance(answer, F.Err), answer
        return answer

    async def request(self, method: str, params: R.Params, type_: type[T]) -> T:
        """The result of a REQ."""
        return await self.ok(req(method, params), type_)

    async def login(self, person: Person, **changes: Any) -> R.LoginResult:
        """CONNECT and its result."""
        info = await self.expect(F.Info)
        await self.send(person.connect(info, **changes))
        answer = await self.answer(1)
        assert isinstance(answer, F.Ok), answer
        return decode_struct(answer.result, R.LoginResult)

    async def register(self, person: Person) -> None:
        """Log in and publish the first device list."""
        await self.login(person)
        assert await self.request("devices.publish", R.PublishList(person.signed()), int) == 1

    async def subscribe(self, *topics: F.Subscription) -> list[F.SubResult]:
        """SUB and its results."""
        return await self.ok(F.Sub(0, topics), list[F.SubResult])

    async def end(self) -> tuple[F.Bye | None, int]:
        """Wait for the end: BYE, if one came, and the websocket's close code."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as closed:
            byes = [frame for frame in self.heard if isinstance(frame, F.Bye)]
            return (byes[-1] if byes else None), (closed.reason.code if closed.reason else 1006)


def req(method: str, params: R.Params, rid: int = 0) -> F.Req:
    """A REQ frame."""
    return F.Req(rid, method, msgspec.Raw(encode_struct(params)))


@asynccontextmanager
async def open_wire(url: str, **options: Any) -> AsyncIterator[Wire]:
    """Connect to a relay; ``options`` are those of ``open_websocket``."""
    async with open_websocket(url, subprotocols=[SUBPROTOCOL], **options) as websocket:
        yield Wire(websocket)
