"""A relay without sockets: real connections, hubs and router over the store in memory, peers that are lists of frames.

With ``autojump_clock`` nothing here takes wall-clock time. A peer may be stuck (its kernel takes nothing): what it is
sent then counts as buffered until ``take``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import trio

from protocol import frames as F
from protocol import requests as R
from protocol.codec import decode_frames, decode_struct, encode_batch, encode_struct
from protocol.frames import AnyFrame, Frame
from relay.broker.memory import Bus
from relay.config import Settings
from relay.connection import Connection
from relay.context import Relay
from relay.delivery_service import DeliveryService
from relay.node import trio_tick_ms
from relay.seam import Handler
from relay.testing import TEST_SETTINGS
from storage.base import Store
from storage.memory import MemoryStore
from tests.support.people import Person, seed

T = TypeVar("T")
Got = TypeVar("Got", bound=Frame)
NOW_MS = 1_800_000_000_000  # when every lab begins


def payload_of(frame: bytes) -> bytes:
    """What a server's websocket frame carries."""
    return frame[{126: 4, 127: 10}.get(frame[1], 2) :]


class FakePeer:
    """The seam's ``Peer``, as a list."""

    def __init__(self, bound: int, address: str = "192.0.2.1") -> None:
        self.address = address
        self.is_stuck = False
        self.frames: list[AnyFrame] = []
        self.closed: tuple[int, str] | None = None
        self.is_decided = False
        self.pauses = 0
        self.handler: Handler | None = None
        self._bound = bound
        self._was_full = False
        self._waiting: list[bytes] = []

    @property
    def buffered_bytes(self) -> int:
        """What a stuck peer has not taken."""
        return sum(map(len, self._waiting))

    def send_nowait(self, payload: bytes) -> None:
        """One message."""
        if self.closed is None:
            if self.is_stuck:
                self._waiting.append(payload)
                self._was_full = self._was_full or self.buffered_bytes > self._bound
            else:
                self.frames += decode_frames(payload, from_client=False)

    def send_framed_nowait(self, frame: bytes) -> None:
        """One message in its websocket frame."""
        self.send_nowait(payload_of(frame))

    def send_shared_nowait(self, frames: bytes) -> None:
        """What others get too."""
        self.send_framed_nowait(frames)

    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """The end, from the relay's side."""
        if self.closed is None:
            self.take()
            if goodbye:
                self.send_nowait(goodbye)
            self.closed = (code, reason)

    def pause_nowait(self, span_ms: int) -> None:
        """Messages of this peer are given by hand, so nothing has to wait."""
        self.pauses += 1

    def login_decided_nowait(self) -> None:
        """The login is decided."""
        self.is_decided = True

    def take(self, count: int | None = None) -> None:
        """The kernel takes ``count`` messages that wait, or all (and is not stuck any more)."""
        taken = self._waiting[:count]
        del self._waiting[: len(taken)]
        if count is None:
            self.is_stuck = False
        for payload in taken:
            self.frames += decode_frames(payload, from_client=False)
        if self._was_full and self.buffered_bytes <= self._bound // 2:
            self._was_full = False
            if self.handler is not None:
                self.handler.on_writable()


class FakeClient:
    """A client of the lab: frames go straight into its connection."""

    def __init__(self, lab: Lab, peer: FakePeer, connection: Connection) -> None:
        self.lab = lab
        self.peer = peer
        self.connection = connection
        self._rid = 1000

    def send(self, *frames: Frame) -> None:
        """One frame, or a batch."""
        self.connection.on_message(encode_struct(frames[0]) if len(frames) == 1 else encode_batch(list(frames)))

    def got(self, type_: type[Got]) -> list[Got]:
        """All frames of a type so far."""
        return [frame for frame in self.peer.frames if isinstance(frame, type_)]

    def offsets(self, tid: int) -> list[int]:
        """Offsets of the entries of a topic, as they came."""
        return [frame.offset for frame in self.got(F.Msg) if frame.tid == tid]

    def answers(self, rid: int) -> list[F.Ok | F.Err]:
        """Answers to a request."""
        return [frame for frame in self.peer.frames if isinstance(frame, (F.Ok, F.Err)) and frame.rid == rid]

    async def ask(self, frame: Frame) -> F.Ok | F.Err:
        """Send a request under a fresh number; its one answer."""
        self._rid += 1
        self.send(msgspec.structs.replace(frame, rid=self._rid))
        await settle()
        (answer,) = self.answers(self._rid)
        return answer

    async def ok(self, frame: Frame, type_: type[T]) -> T:
        """The typed result of a request that must succeed."""
        answer = await self.ask(frame)
        assert isinstance(answer, F.Ok), answer
        return decode_struct(answer.result, type_)

    async def err(self, frame: Frame) -> F.Err:
        """The refusal of a request that must fail."""
        answer = await self.ask(frame)
        assert isinstance(answer, F.Err), answer
        return answer

    async def request(self, method: str, params: R.Params, type_: type[T]) -> T:
        """The result of a REQ."""
        return await self.ok(req(method, params), type_)

    async def subscribe(
        self, topic: bytes, start: tuple[int, int] | None = None, last: int | None = None
    ) -> F.SubResult:
        """SUB of one topic."""
        (result,) = await self.ok(F.Sub(0, (F.Subscription(topic, start, last),)), list[F.SubResult])
        return result

    def close(self) -> None:
        """The client vanishes."""
        self.connection.on_closed()

    @property
    def bye(self) -> F.Bye | None:
        """BYE, if it was said."""
        byes = self.got(F.Bye)
        return byes[0] if byes else None


def req(method: str, params: R.Params, rid: int = 0) -> F.Req:
    """A REQ frame."""
    return F.Req(rid, method, msgspec.Raw(encode_struct(params)))


async def settle() -> None:
    """Let everything run that can."""
    await trio.testing.wait_all_tasks_blocked()


class Lab:
    """The relay, and what makes clients."""

    def __init__(self, relay: Relay, store: Store) -> None:
        self.relay = relay
        self.store = store
        self._service = DeliveryService(relay)

    @property
    def now_ms(self) -> int:
        """The relay's wall clock."""
        return self.relay.clock_ms()

    def person(self, name: str) -> Person:
        """Somebody, whose keys follow from the name."""
        return Person(name, self.now_ms)

    def open(self, address: str = "192.0.2.1") -> FakeClient:
        """A websocket that was just opened."""
        peer = FakePeer(self.relay.settings.outbound_bytes_max, address)
        connection = Connection(self.relay, self._service, peer)
        peer.handler = connection
        return FakeClient(self, peer, connection)

    async def login(self, person: Person, **changes: Any) -> FakeClient:
        """A client after its CONNECT."""
        client = self.open()
        client.send(person.connect(client.got(F.Info)[0], **changes))
        await settle()
        return client

    async def register(self, person: Person) -> FakeClient:
        """A client of a newly registered account."""
        client = await self.login(person)
        assert await client.request("devices.publish", R.PublishList(person.signed()), int) == 1
        return client


@asynccontextmanager
async def open_lab(settings: Settings = TEST_SETTINGS, store: Store | None = None) -> AsyncIterator[Lab]:
    """A lab whose wall clock is at ``NOW_MS`` and goes with trio's."""
    begin = trio_tick_ms()
    entropy_calls = 0

    def clock_ms() -> int:
        return NOW_MS + trio_tick_ms() - begin

    def entropy(size: int) -> bytes:
        nonlocal entropy_calls
        entropy_calls += 1
        return seed("relay", entropy_calls)[:size]

    opened = store or MemoryStore(clock_ms=clock_ms, spacing_ms=0)
    async with Bus().open(lambda channel, data: None, lambda: None) as broker, trio.open_nursery() as nursery:
        relay = Relay(settings, opened, broker, nursery, bytes(range(16)), clock_ms, trio_tick_ms, entropy)
        yield Lab(relay, opened)
        assert relay.counters.failures == 0, "a bug was met; the log says which"
        nursery.cancel_scope.cancel()
