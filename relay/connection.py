"""One client: its session, its login, its subscriptions and what it has under way.

Everything here is bounded: frames before the login by bytes, PUBs and requests by number and bytes, subscriptions by
number, rates by token buckets. Every refusal is an ERR or a BYE with a documented code and a sentence to act on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from protocol import frames as F
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.errors import CLOSES, Close, Code, RemoteProtocolError, may_reconnect
from protocol.requests import LoginResult
from protocol.session import Session
from protocol.transitions import Side, State
from relay import auth, log, router
from relay.bounds import DRAIN_RECONNECT_MS, REQUEST_BYTES_MAX, RETRY_MS
from relay.catchup import Catchup
from relay.context import Relay
from relay.delivery_service import Answer, DeliveryService
from relay.hub import Subscription
from relay.rates import TokenBucket
from relay.seam import Peer
from relay.subscribe import Subscriptions
from storage.base import Refused, StoreAway

_ANONYMOUS = bytes(L.KEY_BYTES)
_CLOSE_UNSUPPORTED = 1003  # RFC 6455 section 7.4.1: a type of data that cannot be accepted


class Connection:
    """A ``seam.Handler``; made by ``Node`` for every websocket."""

    def __init__(self, relay: Relay, service: DeliveryService, peer: Peer) -> None:
        self.peer = peer
        self.account = _ANONYMOUS
        self.device = _ANONYMOUS
        self.login = 0
        self.login_number = 0  # as the device numbered its CONNECT
        self.is_registered = False
        self._relay = relay
        self._service = service
        self._settings = relay.settings
        now_ms = relay.tick_ms()
        self.session = Session(Side.RELAY, now_ms)
        self._nonce = relay.entropy(L.NONCE_BYTES)
        self._waiting: list[F.AnyFrame] | None = []  # frames behind a CONNECT; None: the login is decided
        self._requests: deque[F.Sub | F.Req] = deque()
        self._request_bytes = 0
        self._is_answering = False
        self._is_gone = False
        self._patience_ms = 0
        self._catchup = Catchup(
            peer, relay.store.topics, self._settings.outbound_bytes_max, relay.counters, self._spawn
        )
        self._subscriptions = Subscriptions(self, relay.store.topics, relay.hubs, self._catchup, self._settings)
        self._publisher = router.Publisher(relay, self)
        self._publishes = _bucket(self._settings.publishes_per_s, now_ms)
        self._ephemerals = _bucket(self._settings.ephemerals_per_s, now_ms)
        self._asks = _bucket(self._settings.requests_per_s, now_ms)
        relay.registry.opened(self)
        relay.counters.accepted += 1
        self.send(relay.info(self._nonce))
        relay.wheel.add(self)

    def _spawn(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._relay.spawn(name, run, self.failed)

    # -- what the seam calls -------------------------------------------------------------------------------------------
    def on_message(self, data: bytes) -> None:
        """One binary message of the client."""
        with self._relay.boundary("message", self.failed):
            self._receive(data)

    def on_text(self) -> None:
        """Text websocket messages are no part of the protocol."""
        self._bye(Close.PROTOCOL, "frames are binary messages, not text; see protocol/SPEC.md", _CLOSE_UNSUPPORTED)

    def on_writable(self) -> None:
        """The outbound buffer has room again."""
        self._catchup.on_writable()

    def on_closed(self) -> None:
        """The websocket is gone."""
        self._release()
        self._relay.registry.closed(self)

    # -- what the clock calls ------------------------------------------------------------------------------------------
    @property
    def deadline_ms(self) -> int | None:
        """See ``wheel.Timed``."""
        return None if self._is_gone else self.session.deadline_ms

    def on_deadline(self, now_ms: int) -> None:
        """PING after silence, BYE after more of it or where no login came.

        A client whose socket is still taking what waits for it is slow, not dead: the PING stands behind all that, so
        its time begins when the buffer is empty. A socket that takes nothing at all is the seam's to close.
        """
        if self.session.state is State.READY and self.peer.buffered_bytes:
            self._patience_ms = now_ms + L.PONG_TIMEOUT_MS
        if now_ms < self._patience_ms:
            return
        frame = self.session.tick(now_ms)
        if isinstance(frame, F.Bye):
            self.bye(Close(frame.code))
        elif frame is not None:
            self.send(frame)

    # -- sending -------------------------------------------------------------------------------------------------------
    @property
    def is_over(self) -> bool:
        """The websocket is gone, BYE was said, or only BYE may follow: nothing else is sent any more."""
        return self._is_gone or self.session.state in (State.CLOSED, State.REFUSED)

    def send(self, frame: F.Frame) -> None:
        """Send a frame of this connection's own; dropped when it is over."""
        if not self.is_over:
            self.peer.send_nowait(self.session.send(frame))

    def reply(self, rid: int, result: bytes) -> None:
        """OK, unless no reply was asked for."""
        if rid:
            self.send(F.Ok(rid, msgspec.Raw(result)))

    def refuse(self, rid: int, refusal: Refused) -> None:
        """ERR, unless no reply was asked for."""
        self._relay.counters.errors[refusal.code] += 1
        if rid:
            self.send(_err(rid, refusal))

    def bye(self, close: Close, text: str | None = None) -> None:
        """Say goodbye and close."""
        self._bye(close, text)

    @property
    def backlog(self) -> int:
        """Subscriptions behind the head."""
        return len(self._catchup)

    def announce(self) -> None:
        """Say that something about the relay has changed (draining)."""
        if self.session.state is not State.OPEN:
            self.send(self._relay.info(self._nonce))

    def drain(self) -> None:
        """The relay ends: BYE 4000 and, for generic clients, the websocket's own "restart"."""
        self._bye(Close.RESTART, None, 1012)

    def superseded(self) -> None:
        """A newer login of this device exists, here or on another node."""
        self._bye(Close.SUPERSEDED)

    def failed(self) -> None:
        """A bug was met while serving this client: the connection is over, the relay goes on."""
        self._bye(Close.INTERNAL)

    def _bye(self, close: Close, text: str | None = None, websocket_code: int | None = None) -> None:
        if self._is_gone:
            return
        self._relay.counters.closes[close] += 1
        reconnect_ms = DRAIN_RECONNECT_MS if close is Close.RESTART else L.RECONNECT_MS_MIN
        text = text or CLOSES[close]
        goodbye = self.session.send(F.Bye(close, text, reconnect_ms if may_reconnect(close) else -1))
        self._release()
        self.peer.close_nowait(websocket_code or close, text, goodbye)
        log.debug("bye", address=self.peer.address, device=self.device, code=int(close), text=text)

    def _release(self) -> None:
        """Leave every topic and drop what waits; PUBs under way still get stored."""
        self._is_gone = True
        self._catchup.close()
        self._requests.clear()
        self._request_bytes = 0
        self._waiting = None
        self._subscriptions.leave_all()

    # -- receiving -----------------------------------------------------------------------------------------------------
    def _receive(self, data: bytes) -> None:
        try:
            frames = self.session.receive(data, self._relay.tick_ms())
        except RemoteProtocolError as error:
            self._relay.counters.errors[error.code] += 1
            if error.fatal:
                self._bye(Close.TOO_LARGE if error.code is Code.TOO_LARGE else Close.PROTOCOL, error.text[:400])
            else:
                self._refuse_malformed(error)
            return
        for frame in frames:
            self._take(frame)

    def _refuse_malformed(self, error: RemoteProtocolError) -> None:
        """ERR for a malformed request, and for those that came in one batch with it: nobody waits in vain."""
        if error.rid:
            self.send(F.Err(error.rid, error.code, error.text[:400]))
        for rid in error.undone:
            text = "another frame of this batch is malformed, so nothing of it was done; send the others again"
            self.send(F.Err(rid, error.code, text, RETRY_MS))

    def _take(self, frame: F.AnyFrame) -> None:
        """Handle a frame now, or after the login that is being decided (the session bounds what may wait)."""
        if isinstance(frame, F.Ping):
            self.send(F.Pong(frame.t))
        elif isinstance(frame, F.Connect):
            self._spawn("login", partial(self._login, frame))
        elif isinstance(frame, F.Bye):
            self._closed_by_client()
        elif isinstance(frame, F.Pong):
            pass
        elif self._waiting is None:
            self._handle(frame)
        else:
            self._waiting.append(frame)

    def _closed_by_client(self) -> None:
        self._release()
        self.peer.close_nowait(1000, "goodbye")

    def _handle(self, frame: F.AnyFrame) -> None:
        if isinstance(frame, F.Pub):
            self._publish(frame)
        elif isinstance(frame, (F.Sub, F.Req)):
            self._queue_request(frame)
        elif isinstance(frame, F.Ack):
            self._subscriptions.acknowledge(frame)
        elif isinstance(frame, F.Unsub):
            self._subscriptions.unsubscribe(frame)

    # -- login ---------------------------------------------------------------------------------------------------------
    async def _login(self, frame: F.Connect) -> None:
        proven = auth.is_proven(frame, self._relay.cluster, self._nonce)
        try:
            (account,) = await self._relay.store.accounts.get([frame.account])
            judgement = auth.judge(frame, proven, account, self._relay.clock_ms())
            number = key_packages = 0
            if judgement.verdict is auth.Verdict.REGISTERED:
                login = await self._relay.store.accounts.login(frame.account, frame.device, frame.number)
                if isinstance(login, Refused):
                    self._refuse_login(frame.rid, login, Close.LATE_LOGIN)
                    return
                number, key_packages = login.number, login.key_packages
        except StoreAway as error:
            self._refuse_login(frame.rid, Refused(Code.STORE_AWAY, str(error)[:400], retry_ms=RETRY_MS), Close.INTERNAL)
            return
        if self._is_gone:
            return
        if judgement.verdict is auth.Verdict.REFUSED:
            self._relay.counters.failed_logins += 1
            log.info("login-refused", address=self.peer.address, device=frame.device, code=int(judgement.close))
            self._refuse_login(frame.rid, Refused(judgement.code, judgement.text), judgement.close)
            return
        self.account, self.device, self.login_number = frame.account, frame.device, frame.number
        self._relay.counters.logins += 1
        self.peer.login_decided_nowait()
        if number and not self.registered(number):
            return
        result = LoginResult(self.is_registered, judgement.list_version, key_packages, self._relay.clock_ms())
        self.send(F.Ok(frame.rid, msgspec.Raw(encode_struct(result))))
        log.debug("login", address=self.peer.address, device=frame.device, agent=frame.agent, number=number)
        waiting, self._waiting = self._waiting or [], None
        for held in waiting:
            self._handle(held)

    def _refuse_login(self, rid: int, refusal: Refused, close: Close) -> None:
        if not self._is_gone:
            self._relay.counters.errors[refusal.code] += 1
            self.send(_err(rid, refusal))
            self._bye(close, refusal.text)

    def registered(self, login: int) -> bool:
        """The device is listed and has its login number. False: a newer login exists, BYE was said."""
        self.login = login
        self.is_registered = True
        return self._relay.registry.logged_in(self)

    # -- PUB -----------------------------------------------------------------------------------------------------------
    def _publish(self, frame: F.Pub) -> None:
        bucket = self._ephemerals if frame.flags & F.Flag.EPHEMERAL else self._publishes
        if not self._may_go_on(frame.rid, bucket):
            return
        facts = router.Facts(self.account, self.device, self.login, self.is_registered)
        now_ms = self._relay.clock_ms()
        self._publisher.act(frame, router.decide(frame, facts, now_ms), now_ms)

    def _may_go_on(self, rid: int, bucket: TokenBucket) -> bool:
        """Neither draining nor too fast; otherwise ERR was sent."""
        if self._relay.is_draining:
            text = "the relay is restarting; retry with the same id after reconnecting"
            self.refuse(rid, Refused(Code.DRAINING, text, retry_ms=DRAIN_RECONNECT_MS))
            return False
        wait_ms = bucket.take(self._relay.tick_ms())
        if wait_ms:
            self.refuse(rid, Refused(Code.RATE, "too many of these from this connection; wait", retry_ms=wait_ms))
            return False
        return True

    # -- SUB, REQ ------------------------------------------------------------------------------------------------------
    def _queue_request(self, frame: F.Sub | F.Req) -> None:
        if not self._may_go_on(frame.rid, self._asks):
            return
        size = len(frame.params) if isinstance(frame, F.Req) else 0
        over = self._request_bytes + size > REQUEST_BYTES_MAX and bool(self._requests)
        if len(self._requests) >= self._settings.requests_inflight_max or over:
            text = f"{len(self._requests)} requests of this connection wait already; wait for answers"
            self.refuse(frame.rid, Refused(Code.RATE, text, retry_ms=RETRY_MS))
            return
        self._requests.append(frame)
        self._request_bytes += size
        if not self._is_answering:
            self._is_answering = True
            self._spawn("requests", self._answer_all)

    async def _answer_all(self) -> None:
        try:
            while self._requests:
                await self._catchup.room()  # an answer may be large: not while earlier ones still wait to be read
                if not self._requests:
                    break
                frame = self._requests.popleft()
                if isinstance(frame, F.Req):
                    self._request_bytes -= len(frame.params)
                    await self._answer(frame)
                else:
                    await self._subscriptions.subscribe(frame)
        finally:
            self._is_answering = False

    async def _answer(self, frame: F.Req) -> None:
        answer = await self._service.answer(self, frame)
        if isinstance(answer, Answer):
            self.reply(frame.rid, answer.result)
            if answer.then is not None:
                answer.then()
        else:
            self.refuse(frame.rid, answer)

    # -- what hubs and the publisher call ------------------------------------------------------------------------------
    def subscription_of(self, topic: bytes) -> Subscription | None:
        """The subscription of a topic, if there is one."""
        return self._subscriptions.of_topic(topic)

    def on_behind(self, subscription: Subscription) -> None:
        """Read on at this connection's own pace."""
        self._catchup.start(subscription)

    def on_ended(self, subscription: Subscription) -> None:
        """Forget a subscription that has left its hub."""
        self._subscriptions.forget(subscription)


def _bucket(per_s: int, now_ms: int) -> TokenBucket:
    """A rate with two seconds of it saved up."""
    return TokenBucket(per_s, 2 * per_s, now_ms)


def _err(rid: int, refusal: Refused) -> F.Err:
    detail = None
    if refusal.reason or refusal.generation or refusal.offset or refusal.fence or refusal.hash:
        detail = F.ErrDetail(
            refusal.reason, refusal.generation, refusal.offset, refusal.group, refusal.fence, refusal.hash
        )
    return F.Err(rid, refusal.code, refusal.text, refusal.retry_ms, detail)
