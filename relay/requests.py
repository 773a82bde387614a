"""SUB and REQ of one connection: answered in the order in which they came, by a task that lives while there are some.

Bounded in number and in bytes of parameters; what comes beyond that gets 429. An answer may be large, so none is begun
while earlier ones still wait to be read by the peer.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from protocol.errors import Code
from protocol.frames import Req, Sub
from relay.bounds import REQUEST_BYTES_MAX, RETRY_MS
from relay.catchup import Catchup
from relay.delivery_service import Answer, Client, DeliveryService
from relay.hubs import Spawn
from relay.subscribe import Subscriptions
from storage.base import Refused


class Asker(Client, Protocol):
    """What this module needs of its connection."""

    def reply(self, rid: int, result: bytes) -> None: ...

    def refuse(self, rid: int, refusal: Refused) -> None: ...


class Requests:
    """See the module."""

    __slots__ = (
        "_bytes", "_catchup", "_client", "_is_answering", "_most", "_service", "_spawn", "_subscriptions", "_waiting"
    )  # fmt: skip

    def __init__(
        self, client: Asker, service: DeliveryService, subscriptions: Subscriptions, catchup: Catchup, most: int,
        spawn: Spawn,
    ) -> None:  # fmt: skip
        self._client = client
        self._service = service
        self._subscriptions = subscriptions
        self._catchup = catchup
        self._most = most
        self._spawn = spawn
        self._waiting: deque[Sub | Req] | None = None  # a deque takes 600 bytes: only while something waits
        self._bytes = 0
        self._is_answering = False

    def __len__(self) -> int:
        return len(self._waiting or ())

    def add(self, frame: Sub | Req) -> None:
        """Answer ``frame`` when it is its turn, or refuse it now."""
        size = len(frame.params) if isinstance(frame, Req) else 0
        over = self._bytes + size > REQUEST_BYTES_MAX and bool(self._waiting)
        if len(self) >= self._most or over:
            text = f"{len(self)} requests of this connection wait already; wait for answers"
            self._client.refuse(frame.rid, Refused(Code.RATE, text, retry_ms=RETRY_MS))
            return
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(frame)
        self._bytes += size
        if not self._is_answering:
            self._is_answering = True
            self._spawn("requests", self._answer_all)

    def clear(self) -> None:
        """The connection is over: nobody waits for an answer."""
        self._waiting = None
        self._bytes = 0

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                await self._catchup.room()
                if not self._waiting:
                    break
                frame = self._waiting.popleft()
                if isinstance(frame, Req):
                    self._bytes -= len(frame.params)
                    await self._answer(frame)
                else:
                    await self._subscriptions.subscribe(frame)
            self._waiting = None
        finally:
            self._is_answering = False

    async def _answer(self, frame: Req) -> None:
        answer = await self._service.answer(self._client, frame)
        if isinstance(answer, Answer):
            self._client.reply(frame.rid, answer.result)
            if answer.then is not None:
                answer.then()
        else:
            self._client.refuse(frame.rid, answer)
