"""One connection to a relay: websocket, session, requests and their answers. Knows nothing of conversations.

One task reads and hands on, one task owns the sending side and packs what has queued up into batches, one keeps the
clock. Nobody else touches the socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection

from clients.tasks import open_tasks
from clients.websocket import open_websocket
from protocol import limits as L
from protocol.codec import decode_struct, encode_batch, encode_struct
from protocol.errors import ChappeError, Close, Reason, RemoteProtocolError, may_reconnect
from protocol.frames import SUBPROTOCOL, VERSION, AnyFrame, Bundle, Bye, Connect, Err, Info, Ok, Ping, Pong, Pub, Req
from protocol.identity import SigningKey, challenge, sign_challenge
from protocol.ids import Entropy
from protocol.requests import LoginResult, Params
from protocol.session import Session
from protocol.transitions import Side, State

T = TypeVar("T")
Reply = Callable[[Ok | Err | None], None]
_PACK_BYTES: Final = 512 * 1024  # of queued frames in one message: half of what the relay accepts
_GOODBYE_S: Final = 2.0  # for the relay to answer a goodbye
ASK_AGAIN_S: Final = 0.1  # after a link that has gone: another one takes a moment
QUEUE_MAX: Final = 8192  # frames that wait for the socket; the outbox's windows keep it far below


class LinkDown(ChappeError):
    """The connection is gone. ``retry_ms``: the relay's own word on when to come back (None: ours to choose).

    ``final``: it must not be tried again. ``superseded``: a newer login of this device took over.
    ``last_login``: the number of the device's newest login, where ours was refused because it is lower.
    """

    def __init__(
        self,
        reason: str,
        *,
        retry_ms: int | None = None,
        final: bool = False,
        superseded: bool = False,
        last_login: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.superseded = superseded
        self.last_login = last_login
        self.reason = reason
        self.retry_ms = retry_ms
        self.final = final


_ENDS: Final = (ConnectionClosed, RemoteProtocolError, LinkDown)  # how a connection ends


class Refusal(ChappeError):
    """The relay refused a request; ``code`` and ``text`` are its own."""

    def __init__(self, err: Err) -> None:
        super().__init__(f"{err.code}: {err.text}")
        self.err = err
        self.code = err.code
        self.text = err.text
        self.retry_ms = err.retry_ms


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """What waits on a link."""

    queued: int
    unanswered: int


class Link:
    """A logged-in connection."""

    def __init__(self, socket: WebSocketConnection, session: Session, clock_ms: Callable[[], int]) -> None:
        self._socket = socket
        self._session = session
        self._clock_ms = clock_ms
        self._queue: deque[AnyFrame] = deque()
        self._work = trio.Event()
        self._full = trio.Event()
        self._over = False
        self._replies: dict[int, Reply] = {}
        self._rid = 0
        self.login = LoginResult(False, 0, 0, 0)
        self.cluster = b""
        self.nonce = b""  # the relay's, of this connection

    def statistics(self) -> LinkStatistics:
        """Figures of now."""
        return LinkStatistics(len(self._queue), len(self._replies))

    # -- sending -------------------------------------------------------------------------------------------------------
    def submit(self, frame: AnyFrame) -> None:
        """Queue a frame that is not answered. Frames after the connection went are dropped: they go again later.

        A relay that takes nothing for so long that the queue is full costs the connection.
        """
        if self._over:
            return
        if len(self._queue) >= QUEUE_MAX:
            self._full.set()
            return
        self._queue.append(frame)
        self._work.set()

    @property
    def crowded(self) -> bool:
        """Whether so much waits that what may be lost should not be sent."""
        return len(self._queue) > QUEUE_MAX // 2

    def request(self, frame: AnyFrame, on_reply: Reply) -> None:
        """Queue a frame whose ``rid`` is set here; ``on_reply`` gets the answer, or None when the connection goes."""
        if self._over:
            on_reply(None)
            return
        self._rid += 1
        self._replies[self._rid] = on_reply
        self.submit(msgspec.structs.replace(frame, rid=self._rid))

    async def call(self, frame: AnyFrame) -> Ok:
        """Send a request and wait. Raises ``Refusal`` or ``LinkDown``."""
        box: list[Ok | Err | None] = []
        done = trio.Event()

        def on_reply(reply: Ok | Err | None) -> None:
            box.append(reply)
            done.set()

        self.request(frame, on_reply)
        await done.wait()
        reply = box[0]
        if isinstance(reply, Ok):
            return reply
        if isinstance(reply, Err):
            raise Refusal(reply)
        raise LinkDown("the connection went before the answer came")

    async def ask(self, method: str, params: Params | None, result: type[T]) -> T:
        """A REQ by name. Raises ``Refusal``, ``LinkDown`` or ``RemoteProtocolError``."""
        ok = await self.call(Req(0, method, msgspec.Raw(encode_struct(params))))
        return decode_struct(ok.result, result)

    # -- running -------------------------------------------------------------------------------------------------------
    async def log_in(
        self, key: SigningKey, account: bytes, list_version: int, agent: str, entropy: Entropy, number: int = 0,
        features: tuple[str, ...] = (),
    ) -> LoginResult:  # fmt: skip
        """INFO, CONNECT, OK. Raises ``LinkDown``: final if the relay will never let this device in."""
        try:
            with trio.fail_after(L.LOGIN_MS / 1000):
                self.login = await self._log_in(key, account, list_version, agent, entropy, number, features)
        except trio.TooSlowError:
            raise LinkDown("the relay did not answer the login in time") from None
        except (ConnectionClosed, RemoteProtocolError) as error:
            raise _why(error) from None
        return self.login

    async def _log_in(
        self, key: SigningKey, account: bytes, list_version: int, agent: str, entropy: Entropy, number: int,
        features: tuple[str, ...],
    ) -> LoginResult:  # fmt: skip
        info = await self._expect(Info)
        if VERSION not in info.versions:
            raise LinkDown("the relay speaks no version of the protocol that this client does; update it", final=True)
        self.cluster, self.nonce = info.cluster, info.nonce
        nonce = entropy(L.NONCE_BYTES)
        message = challenge(info.cluster, info.nonce, nonce, VERSION, account, key.public)
        connect = Connect(
            1, VERSION, key.public, nonce, sign_challenge(key, message), account, list_version, features, agent,
            number,
        )  # fmt: skip
        await self._socket.send_message(self._session.send(connect))
        reply = await self._expect(Ok)
        self._rid = 1
        return decode_struct(reply.result, LoginResult)

    async def _expect(self, wanted: type[T]) -> T:
        """Wait for a frame of the greeting. An ERR or BYE ends the attempt."""
        while True:
            message = await self._message()
            for frame in self._session.receive(message, self._clock_ms()):
                if isinstance(frame, wanted):
                    return frame
                if isinstance(frame, Err):
                    late = frame.detail is not None and frame.detail.reason == Reason.SUPERSEDED
                    last = frame.detail.offset if late and frame.detail is not None else 0
                    final = frame.retry_ms is None
                    raise LinkDown(frame.text, retry_ms=frame.retry_ms, final=final, last_login=last)
                if isinstance(frame, Bye):
                    raise _goodbye(frame)

    async def _message(self) -> bytes:
        message = await self._socket.get_message()
        if isinstance(message, str):
            raise RemoteProtocolError("the relay sent text; frames are binary")
        return bytes(message)

    async def run(self, on_frames: Callable[[list[AnyFrame]], Awaitable[None]]) -> None:
        """Serve the connection until it goes; always ends with ``LinkDown``."""
        try:
            async with open_tasks(_ENDS) as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._guard)
                while True:
                    frames = self._session.receive(await self._message(), self._clock_ms())
                    await on_frames([frame for frame in frames if not self._handled(frame)])
        except _ENDS as error:
            raise _why(error) from None
        finally:
            self._over = True
            replies, self._replies = self._replies, {}
            for on_reply in replies.values():
                on_reply(None)

    def _handled(self, frame: AnyFrame) -> bool:
        if isinstance(frame, (Ok, Err)):
            on_reply = self._replies.pop(frame.rid, None)
            if on_reply is not None:
                on_reply(frame)
            return True
        if isinstance(frame, Ping):
            self.submit(Pong(frame.t))
            return True
        if isinstance(frame, Bye):
            raise _goodbye(frame)
        return isinstance(frame, Pong)

    async def _write(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._queue:
                await self._socket.send_message(self._pack())

    def _pack(self) -> bytes:
        """As many queued frames as one message may carry."""
        frames: list[AnyFrame] = []
        size = 0
        while self._queue and len(frames) < L.BATCH_FRAMES_MAX:
            need = _size(self._queue[0])
            if frames and size + need > _PACK_BYTES:
                break
            frames.append(self._queue.popleft())
            size += need
        self._session.sent(frames)
        return encode_struct(frames[0]) if len(frames) == 1 else encode_batch(list(frames))

    async def _guard(self) -> None:
        await self._full.wait()
        raise LinkDown(f"{QUEUE_MAX} frames wait, and the relay takes none")

    async def _tick(self) -> None:
        while self._session.state is not State.CLOSED:
            deadline = self._session.deadline_ms
            wait_ms = L.PING_INTERVAL_MS if deadline is None else deadline - self._clock_ms()
            await trio.sleep(max(wait_ms, 10) / 1000)
            due = self._session.tick(self._clock_ms())
            if isinstance(due, Bye):
                raise LinkDown("the relay gave no sign of life")
            if due is not None:
                # `tick` has noted the PING's time; its frame goes out like any other.
                self.submit(due)


async def asked(wait_connected: Callable[[], Awaitable[Link]], question: Callable[[Link], Awaitable[T]]) -> T:
    """Ask a question until there is an answer: on the next link where one is gone, later where the relay says so.

    Raises ``Refusal``: for good.
    """
    while True:
        link = await wait_connected()
        try:
            return await question(link)
        except LinkDown:
            await trio.sleep(ASK_AGAIN_S)
        except Refusal as error:
            if error.retry_ms is None:
                raise
            await trio.sleep(error.retry_ms / 1000)


def _why(error: BaseException) -> LinkDown:
    """What the end of a connection means."""
    if isinstance(error, ConnectionClosed):
        return _closed(error)
    if isinstance(error, RemoteProtocolError):
        return LinkDown(f"the relay broke the protocol: {error.text}")
    assert isinstance(error, LinkDown)
    return error


def _size(frame: AnyFrame) -> int:
    """An upper bound of a frame's size, without encoding it twice."""
    if isinstance(frame, Pub):
        bundle = 0 if frame.bundle is None else _bundle_size(frame.bundle)
        return len(frame.body) + len(frame.header) + bundle + 256
    return len(bytes(frame.params)) + 64 if isinstance(frame, Req) else 16 * 1024


def _bundle_size(bundle: Bundle) -> int:
    return sum(len(w.body) + 64 for w in bundle.welcomes) + 64 * len(bundle.blobs) + 4096


def _goodbye(bye: Bye) -> LinkDown:
    final = bye.reconnect_ms < 0 or not may_reconnect(bye.code)
    return LinkDown(
        bye.text or "the relay said goodbye", retry_ms=max(bye.reconnect_ms, 0), final=final,
        superseded=bye.code == Close.SUPERSEDED,
    )  # fmt: skip


def _closed(error: ConnectionClosed) -> LinkDown:
    reason = error.reason
    code = 1006 if reason is None else reason.code
    text = "" if reason is None else reason.reason or ""
    return LinkDown(
        text or f"the connection was closed ({code})", final=not may_reconnect(code),
        superseded=code == Close.SUPERSEDED,
    )  # fmt: skip


@asynccontextmanager
async def open_link(url: str, clock_ms: Callable[[], int]) -> AsyncIterator[Link]:
    """Open a websocket to a relay; log in with ``Link.log_in``. Raises ``LinkDown`` if it cannot be reached.

    ``clock_ms`` need only go forward: it tells silence from life.
    """
    if not _is_address(url):
        raise LinkDown(f"{url} is no address of a relay, like ws://127.0.0.1:7420/ws", final=True)
    try:
        async with open_websocket(
            url, subprotocols=[SUBPROTOCOL], max_message_size=L.MESSAGE_BYTES_MAX, message_queue_size=64,
            connect_timeout_s=L.HANDSHAKE_MS / 1000, disconnect_timeout_s=_GOODBYE_S,
        ) as socket:  # fmt: skip
            if socket.subprotocol != SUBPROTOCOL:
                raise LinkDown(f"{url} is no Chappe relay (it does not speak {SUBPROTOCOL})")
            yield Link(socket, Session(Side.CLIENT, clock_ms()), clock_ms)
    except ConnectionClosed as error:
        raise _closed(error) from None
    except (OSError, HandshakeError) as error:
        raise LinkDown(f"{url} cannot be reached: {_cause(error)}") from None


def _cause(error: BaseException) -> str:
    """Why, in words: a handshake that failed often says nothing itself, but what it came from does."""
    while not str(error) and error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def monotonic_ms() -> int:
    """Milliseconds that only go forward, from any start: trio's clock."""
    return int(trio.current_time() * 1000)
