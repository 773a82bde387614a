"""One client: its session, its login, its subscriptions and what it has under way.

Everything here is bounded: frames before the login by bytes, PUBs and requests by number and bytes, subscriptions by
number, rates by token buckets. Every refusal is an ERR or a BYE with a documented code and a sentence to act on.
"""

from __future__ import annotations

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
from relay.admission.buckets import Kind
from relay.admission.gate import Wait
from relay.admission.why import Why
from relay.bounds import DRAIN_RECONNECT_MS, PAUSE_MS, RETRY_MS
from relay.catchup import Catchup
from relay.context import Relay
from relay.delivery_service import DeliveryService
from relay.hub import Subscription
from relay.lease import Lease
from relay.registry import ConnectionStatistics
from relay.requests import Requests
from relay.seam import Peer
from relay.subscribe import Subscriptions
from storage.base import Append, Refused
from storage.flags import EPHEMERAL

_ANONYMOUS = bytes(L.KEY_BYTES)
ANSWERED = (F.Pub, F.Sub, F.Req, F.Connect, F.Bye)  # have rates of their own, or come once
RECONNECT_MS = {Close.RESTART: DRAIN_RECONNECT_MS, Close.FLOOD: L.FLOOD_RECONNECT_MS,
                Close.KICKED: L.KICK_RECONNECT_MS, Close.OVERLOAD: L.RECONNECT_MS_MAX}  # fmt: skip
_EPHEMERAL, _PUBLISH = Kind.EPHEMERAL, Kind.PUBLISH
_CLOSE_UNSUPPORTED = 1003  # RFC 6455 section 7.4.1: a type of data that cannot be accepted


class Connection:
    """A ``seam.Handler``; made by ``Node`` for every websocket."""

    __slots__ = (
        "_boundary", "_catchup", "_facts", "_gate", "_is_gone", "_nonce", "_patience_ms", "_publisher", "_relay",
        "_requests", "_service", "_settings", "_since_ms", "_subscriptions", "_waiting", "account", "device",
        "is_registered", "is_shared", "lease", "login", "login_number", "peer", "session", "wants_slots",
    )  # fmt: skip

    def __init__(self, relay: Relay, service: DeliveryService, peer: Peer) -> None:
        self.peer = peer
        self.account = _ANONYMOUS
        self.device = _ANONYMOUS
        self.login = 0
        self.login_number = 0  # as the device numbered its CONNECT
        self.is_registered = False
        self.wants_slots = False
        self.is_shared = False  # one of several processes of a worker
        self.lease: Lease | None = None  # what it holds, once it asked for slots
        self._relay = relay
        self._service = service
        self._settings = relay.settings
        now_ms = relay.tick_ms()
        self.session = Session(Side.RELAY, now_ms)
        self._nonce = relay.entropy(L.NONCE_BYTES)
        self._waiting: list[F.AnyFrame] | None = []  # frames behind a CONNECT; None: the login is decided
        self._is_gone = False
        self._facts: router.Facts | None = None  # what the router asks, while it stays the same
        self._boundary = relay.boundary("message", self.failed)
        self._patience_ms = 0
        bound = self._settings.outbound_bytes_max
        self._catchup = Catchup(peer, relay.store.topics, bound, relay.counters, self._spawn)
        self._subscriptions = Subscriptions(self, relay, self._catchup, self._spawn)
        self._requests = Requests(
            self, service, self._subscriptions, self._catchup, self._settings.requests_inflight_max, self._spawn
        )
        self._publisher = router.Publisher(relay, self)
        self._gate = relay.rules.gate(peer.address)
        self._since_ms = relay.clock_ms()
        relay.registry.opened(self)
        relay.counters.accepted += 1
        self.send(relay.info(self._nonce))
        relay.wheel.add(self)
        if relay.rules.banned(peer.address) is not None:
            self._count(Why.BANNED)
            self._bye(Close.BANNED)

    def _spawn(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._relay.spawn(name, run, self.failed)

    # -- what the seam calls -------------------------------------------------------------------------------------------
    def on_message(self, data: bytes) -> None:
        """One binary message of the client."""
        with self._boundary:
            now_ms = self._relay.now_ms()
            frame = self.session.receive_publish(data, now_ms)
            if frame is None:
                self._receive(data, now_ms)
            else:
                self._gate.receive(len(data), now_ms)
                self._publish(frame, now_ms)

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
            self.send(router.err(rid, refusal))

    def bye(self, close: Close, text: str | None = None) -> None:
        """Say goodbye and close."""
        self._bye(close, text)

    @property
    def backlog(self) -> int:
        """Subscriptions behind the head."""
        return len(self._catchup)

    @property
    def nonce(self) -> bytes:
        """The relay's nonce of this connection, as INFO named it."""
        return self._nonce

    def statistics(self) -> ConnectionStatistics:
        """Numbers now."""
        return ConnectionStatistics(
            self._since_ms, len(self._subscriptions), self.backlog, self._publisher.inflight, len(self._requests),
            self.peer.buffered_bytes,
        )  # fmt: skip

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
        reconnect_ms = RECONNECT_MS.get(close, L.RECONNECT_MS_MIN)
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
        self._waiting = None
        self._subscriptions.leave_all()

    # -- receiving -----------------------------------------------------------------------------------------------------
    def _receive(self, data: bytes, now_ms: int) -> None:
        try:
            self._gate.receive(len(data), now_ms)
            frames = self.session.receive(data, now_ms)
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
        if not isinstance(frame, ANSWERED) and self._wait(Kind.OTHER, self._relay.tick_ms()) is not None:
            return  # dropped: nobody waits for an answer, and an ACK may be lost
        if isinstance(frame, F.Ping):
            self.send(F.Pong(frame.t))
        elif isinstance(frame, F.Connect):
            self._spawn("login", partial(self._login, frame))
        elif isinstance(frame, F.Bye):
            self._release()
            self.peer.close_nowait(1000, "goodbye")
        elif isinstance(frame, F.Pong):
            pass
        elif self._waiting is None:
            self._handle(frame)
        else:
            self._waiting.append(frame)

    def _handle(self, frame: F.AnyFrame) -> None:
        if isinstance(frame, F.Pub):
            self._publish(frame, self._relay.tick_ms())
        elif isinstance(frame, (F.Sub, F.Req)):
            self._ask(frame)
        elif isinstance(frame, F.Ack):
            self._subscriptions.acknowledge(frame)
        elif isinstance(frame, F.Unsub):
            self._subscriptions.unsubscribe(frame)

    # -- login ---------------------------------------------------------------------------------------------------------
    async def _login(self, frame: F.Connect) -> None:
        if self._relay.rules.is_cut_off(frame.device, self._relay.tick_ms()):
            self._count(Why.FLOOD)
            self._bye(Close.FLOOD)
            return
        judgement = await auth.decide(self._relay, frame, self._nonce, self.peer.address)
        if judgement.verdict is auth.Verdict.REFUSED:
            self._refuse_login(frame.rid, auth.refusal(judgement), judgement.close)
        if self._is_gone:
            return
        number, packages = judgement.login.number, judgement.login.key_packages
        self._facts = None
        self.account, self.device, self.login_number = frame.account, frame.device, frame.number
        self.wants_slots, self.is_shared = F.SLOTS_FEATURE in frame.features, judgement.shared
        self.bounds_changed()
        self._relay.counters.logins += 1
        self.peer.login_decided_nowait()
        if number and not self.registered(number):
            return
        result = LoginResult(self.is_registered, judgement.list_version, packages, self._relay.clock_ms())
        self.send(F.Ok(frame.rid, msgspec.Raw(encode_struct(result))))
        log.debug("login", address=self.peer.address, device=frame.device, agent=frame.agent, number=number)
        waiting, self._waiting = self._waiting or [], None
        for held in waiting:
            self._handle(held)

    def bounds_changed(self, *, anew: bool = False) -> None:
        """The account is known now, or (``anew``) its bounds are others than before."""
        rules = self._relay.rules
        rules.admit(self._gate, self.account, self.device, anew=anew)
        self._subscriptions.most = rules.bound(self.account, "subscriptions")

    def _refuse_login(self, rid: int, refusal: Refused, close: Close) -> None:
        if not self._is_gone:
            self._relay.counters.errors[refusal.code] += 1
            self.send(router.err(rid, refusal))
            self._bye(close, refusal.text)

    def registered(self, login: int) -> bool:
        """The device is listed and has its login number. False: a newer login exists, BYE was said."""
        self.login = login
        self.is_registered = True
        self._facts = None
        return self._relay.registry.logged_in(self)

    # -- PUB -----------------------------------------------------------------------------------------------------------
    def _publish(self, frame: F.Pub, tick_ms: int) -> None:
        kind = _EPHEMERAL if frame.flags & EPHEMERAL else _PUBLISH
        if not self._may_go_on(frame.rid, kind, tick_ms):
            return
        facts = self._facts
        if facts is None:
            facts = router.Facts(self.account, self.device, self.login, self.is_registered, self.is_shared)
            self._facts = facts
        now_ms = self._relay.clock_ms()
        action = router.decide(frame, facts, now_ms)
        if isinstance(action, Append) and action.create is not None:
            wait = self._gate.found(tick_ms)
            if wait is not None:
                self._refuse_rate(frame.rid, wait)
                return
        self._publisher.act(frame, action, now_ms)

    def founded_nothing(self) -> None:
        """A conversation was refused, or it was founded before: it does not count."""
        self._gate.founded_nothing()

    def _wait(self, kind: Kind, now_ms: int) -> Wait | None:
        """Whether a frame comes too early. One who goes on all the same for too long is cut off."""
        wait = self._gate.take(kind, now_ms)
        if wait is not None:
            self._count(wait.why)
            self.peer.pause_nowait(PAUSE_MS)
            if self._gate.is_flooding and not self.is_over:
                self._count(Why.FLOOD)
                self._relay.rules.cut_off(self.device, now_ms)
                log.info("flood", address=self.peer.address, account=self.account, device=self.device)
                self._bye(Close.FLOOD)
        return wait

    def _count(self, why: Why) -> None:
        self._relay.counters.refusals[why] += 1

    def _refuse_rate(self, rid: int, wait: Wait) -> None:
        if wait.why is Why.TOPICS:
            self._count(wait.why)
        self.refuse(rid, Refused(Code.RATE, wait.text, retry_ms=wait.ms))

    def _may_go_on(self, rid: int, kind: Kind, now_ms: int) -> bool:
        """Neither draining nor too fast; otherwise ERR was sent."""
        if self._relay.is_draining:
            text = "the relay is restarting; retry with the same id after reconnecting"
            self.refuse(rid, Refused(Code.DRAINING, text, retry_ms=DRAIN_RECONNECT_MS))
            return False
        wait = self._wait(kind, now_ms)
        if wait is not None:
            self._refuse_rate(rid, wait)
        return wait is None

    def _ask(self, frame: F.Sub | F.Req) -> None:
        if self._may_go_on(frame.rid, Kind.REQUEST, self._relay.now_ms()):
            self._requests.add(frame)

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
