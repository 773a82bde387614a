"""Staying connected: the loop that logs in, reconnects, and runs what the engine asks for in time.

It reconnects with full jitter over a doubling bound, after the delay that the relay named, if it did. Only a refusal
for good ends it; the client then goes on without a connection. One exception: the newer login that took over may have
been our own, from a connection we had given up, that arrived late. So the first time we log in again; when it happens
again soon, somebody else has a copy of this vault, and one of the two has to give way.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf

import trio

from clients import account as accounts
from clients import records as R
from clients.connection import Link, LinkDown, Refusal, monotonic_ms, open_link
from clients.devices import recovery
from clients.engine import Engine
from clients.events import AnyNotice, Connected, Disconnected
from clients.records import Status
from clients.tasks import open_tasks
from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AnyFrame, Evt, Pub
from protocol.identity import open_signed
from protocol.ids import TopicKind
from protocol.requests import DevicesChanged, KeyPackagesLow, LoginResult, PresenceChanged, PutBlob

AGENT = "chappe/0.1"
RECEIPT_DELAY_MS = 150  # a burst of messages is answered by one receipt
PENDING_WRITES_MAX = 1000  # reading from the relay waits above this many unwritten notes
INBOX_RETRY_MS = 1000  # until what waits in the inbox is tried again, where the relay names no time
SUPERSEDED_AGAIN_S = 60  # a connection that was given up is dead at both ends by then
SETTLED_S = 5  # a connection that lasted longer was a good one: back-off starts over


class Keeper:
    """Keeps one engine connected to a relay. ``link_changed`` is set while logged in."""

    def __init__(self, url: str, engine: Engine, notify: Callable[[AnyNotice], None]) -> None:
        self.engine = engine
        self.link_changed = trio.Event()
        self._url = url
        self._notify = notify
        self.features: tuple[str, ...] = ()  # named in CONNECT
        self.invite: bytes | None = None  # token of an invitation, for relays that want one
        self._inbox_work = trio.Event()
        self._timers: dict[tuple[str, bytes], float] = {}  # (kind, topic) -> when it rings, by trio's clock
        self._refilling = False
        self._superseded_at = -inf
        self._login = 0  # number of our last CONNECT: only grows, so that a late one never counts
        self._nursery: trio.Nursery | None = None
        self._drop_link: trio.CancelScope | None = None
        clock_ms = engine.shelf.clock_ms
        engine.outbox.alarm = lambda topic, at: self._timer("pump", topic, at - clock_ms(), engine.outbox.pump)
        engine.outbox.founded = self._founded
        engine.outbox.waiting = self._roster_changed
        engine.receiver.receipt_due = lambda topic: self._timer("receipt", topic, RECEIPT_DELAY_MS, engine.acknowledge)
        engine.receiver.roster_changed = self._roster_changed
        engine.inbox.work_waits = lambda: self._inbox_work.set()
        engine.inbox.joined = self._joined
        engine.event = self._event
        engine.restart = self._restart
        engine.later = self._later

    # -- what the engine asks for --------------------------------------------------------------------------------------
    def _timer(self, kind: str, topic: bytes, delay_ms: float, action: Callable[[bytes], None]) -> None:
        """Do something about a topic in a while; once, at the earliest of the times asked for meanwhile."""
        at, key = trio.current_time() + max(delay_ms, 0) / 1000, (kind, topic)
        if self._nursery is not None and at < self._timers.get(key, inf):
            self._timers[key] = at
            self._nursery.start_soon(self._ring, key, at, action)

    async def _ring(self, key: tuple[str, bytes], at: float, action: Callable[[bytes], None]) -> None:
        await trio.sleep_until(at)
        if self._timers.get(key) == at:
            del self._timers[key]
            action(key[1])

    def _later(self, delay_ms: int, action: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(delay_ms / 1000)
            action()

        if self._nursery is not None:
            self._nursery.start_soon(wait)

    def _founded(self, topic: bytes) -> None:
        self.engine.follow([topic])

    def _joined(self, talk: R.Conversation) -> None:
        self.engine.follow([talk.topic])
        self.engine.outbox.passed(talk.topic, talk.cursor)
        self._roster_changed(talk.topic)

    def _roster_changed(self, topic: bytes) -> None:
        self._timer("judge", topic, 0, self._judge_soon)
        self._timer("clean", topic, 0, self.engine.clean_up)
        self.engine.care.nudge()
        self.engine.recovering.nudge()
        talk = self.engine.shelf.conversations[topic]
        if talk.kind == TopicKind.SELF:
            self.engine.own.nudge()
        self._remind(talk)
        if talk.status != Status.ACTIVE:
            self._inbox_work.set()  # a Welcome may have waited for this

    def _readmit(self, topic: bytes) -> None:
        talk = self.engine.shelf.conversations[topic]
        self.engine.ask_readmission(talk)
        self._remind(talk)

    def _remind(self, talk: R.Conversation) -> None:
        if talk.status in (Status.LOCKED, Status.WAITING):
            self._timer("readmit", talk.topic, talk.readmit_at_ms - self.engine.shelf.clock_ms(), self._readmit)

    def _judge_soon(self, topic: bytes) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(self._judge, topic)

    async def _judge(self, topic: bytes) -> None:
        link = self.engine.link
        if link is not None:
            try:
                await self.engine.directory.judge(link, topic)
            except (LinkDown, Refusal, RemoteProtocolError):
                return  # asked again after the next login

    def _event(self, evt: Evt) -> None:
        if self._nursery is None or self.engine.link is None:
            return
        if evt.name == "keypackages.low":
            left = decode_struct(evt.payload, KeyPackagesLow).left
            self._nursery.start_soon(self._refill, self.engine.link, left)
        elif evt.name == "presence":
            self.engine.presence.heard(decode_struct(evt.payload, PresenceChanged))
        elif evt.name == "devices":
            changed = decode_struct(evt.payload, DevicesChanged).account
            self._nursery.start_soon(self._learn, changed)

    async def _learn(self, account: bytes) -> None:
        link = self.engine.link
        if link is not None:
            try:
                await self.engine.directory.fetch(link, [account])
            except (LinkDown, Refusal, RemoteProtocolError):
                return  # asked again after the next login
            for talk in self.engine.shelf.conversations.values():
                if account in talk.roster:
                    self._timer("judge", talk.topic, 0, self._judge_soon)
            self.engine.care.nudge()

    def _restart(self) -> None:
        if self._drop_link is not None:
            self._drop_link.cancel()

    # -- the connection ------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Stay connected until cancelled, or until the relay refuses this device for good."""
        async with open_tasks((LinkDown,)) as nursery:
            self._nursery = nursery
            nursery.start_soon(self.engine.shelf.journal.run)
            tries = 0
            while True:
                started = trio.current_time()
                try:
                    await self._connection()
                except LinkDown as error:
                    self._login = max(self._login, error.last_login)
                    if error.final and not self._by_ourselves(error):
                        self._notify(Disconnected(reason=error.reason, retry_ms=None))
                        return
                    tries = 0 if trio.current_time() - started > SETTLED_S else tries + 1
                    wait_ms = self._wait_ms(error, tries)
                    self._notify(Disconnected(reason=error.reason, retry_ms=wait_ms))
                    await trio.sleep(wait_ms / 1000)

    def _by_ourselves(self, error: LinkDown) -> bool:
        """Whether the login that took over may have been a late one of our own."""
        before, now = self._superseded_at, trio.current_time()
        self._superseded_at = now if error.superseded else before
        return error.superseded and now - before > SUPERSEDED_AGAIN_S

    def _wait_ms(self, error: LinkDown, tries: int) -> int:
        """Full jitter over a doubling bound, after the delay that the relay asked for, if it did."""
        bound = min(L.RECONNECT_MS_MAX, L.RECONNECT_MS_MIN << min(tries, 10))
        jitter = int.from_bytes(self.engine.shelf.entropy(4), "big") * bound // 2**32
        return (error.retry_ms or 0) + jitter

    async def _connection(self) -> None:
        """One connection from beginning to end; always ends with ``LinkDown``."""
        engine, shelf = self.engine, self.engine.shelf
        async with open_link(self._url, monotonic_ms) as link:
            version = open_signed(shelf.identity.signed_list).version
            self._login = max(self._login + 1, shelf.clock_ms())
            login = await link.log_in(
                shelf.device, shelf.account, version, AGENT, shelf.entropy, self._login, self.features
            )
            try:
                with trio.CancelScope() as scope:
                    self._drop_link = scope
                    async with open_tasks((LinkDown,)) as nursery:
                        nursery.start_soon(link.run, self._frames)
                        if not login.registered:
                            await self._register(link, login.list_version)
                        self._attached(link)
                        self._start_tasks(nursery, link, login)
                raise LinkDown("the relay broke the order of a conversation")
            finally:
                self._drop_link = None
                engine.detach()
                self.link_changed = trio.Event()

    def _start_tasks(self, nursery: trio.Nursery, link: Link, login: LoginResult) -> None:
        """What runs as long as a connection lasts."""
        nursery.start_soon(self._upkeep, link, login.key_packages)
        nursery.start_soon(self._work_inbox, link)
        nursery.start_soon(self.engine.care.run, link)
        nursery.start_soon(self.engine.contacts.run, link)
        nursery.start_soon(self.engine.own.run, link)
        nursery.start_soon(self.engine.presence.run, link)
        nursery.start_soon(self.engine.recovering.run, link, login.list_version)
        nursery.start_soon(self.engine.public.run, link)

    async def _register(self, link: Link, known_version: int) -> None:
        try:
            await accounts.register(self.engine.shelf, link, known_version, self.invite)
        except Refusal as error:
            text = f"the relay does not register this account: {error.text}"
            raise LinkDown(text, retry_ms=error.retry_ms, final=error.retry_ms is None) from None
        except RemoteProtocolError as error:
            raise LinkDown(f"the relay broke the protocol: {error.text}") from None

    def _attached(self, link: Link) -> None:
        self.engine.attach(link)

        def transmit(pub: Pub, blobs: tuple[R.Blob, ...], reply: Callable[..., None]) -> None:
            pub, reply = self._outgoing(pub, reply)
            if blobs and self._nursery is not None:
                self._nursery.start_soon(self._with_blobs, link, pub, blobs, reply)
            else:
                link.request(pub, reply)

        self.engine.outbox.connected(transmit)
        self._notify(Connected(url=self._url))
        self.link_changed.set()
        for talk in self.engine.shelf.conversations.values():
            self._roster_changed(talk.topic)

    def _outgoing(self, pub: Pub, reply: Callable[..., None]) -> tuple[Pub, Callable[..., None]]:
        """A PUB as it leaves, and who hears the answer."""
        return pub, reply

    async def _with_blobs(
        self, link: Link, pub: Pub, blobs: tuple[R.Blob, ...], reply: Callable[..., None]
    ) -> None:  # fmt: skip
        """Upload what a commit refers to, then the commit.

        A blob that is refused for good does not decide the commit: an earlier copy of it may be stored. The PUB goes
        all the same, and its own answer tells (dedupe first; else 404 for the blob).
        """
        try:
            for blob in blobs:
                await link.ask("blobs.put", PutBlob(blob.hash, blob.data), type(None))
        except LinkDown:
            return
        except RemoteProtocolError:
            self._restart()
            return
        except Refusal as error:
            if error.retry_ms is not None:
                reply(error.err)
                return
        link.request(pub, reply)

    async def _frames(self, frames: list[AnyFrame]) -> None:
        for frame in frames:
            self.engine.frame(frame)
        if self.engine.shelf.journal.statistics().waiting > PENDING_WRITES_MAX:
            await self.engine.shelf.journal.flushed()

    async def _upkeep(self, link: Link, left: int) -> None:
        with suppress(LinkDown, Refusal, RemoteProtocolError):  # done again after the next login
            await accounts.renew_list(self.engine.shelf, link)
            await recovery.refresh(self.engine.shelf, link)
        self.engine.receiver.evidence.expire()
        await self._refill(link, left)

    async def _refill(self, link: Link, left: int) -> None:
        """Key packages run low one by one, and the relay says so each time: refill once."""
        if self._refilling:
            return
        self._refilling = True
        try:
            await accounts.refill_key_packages(self.engine.shelf, link, left)
        except (LinkDown, Refusal, RemoteProtocolError):
            return  # done again after the next login
        finally:
            self._refilling = False

    async def _work_inbox(self, link: Link) -> None:
        while True:
            self._inbox_work = trio.Event()
            try:
                await self.engine.inbox.work(link)
            except LinkDown:
                return
            except RemoteProtocolError as error:
                raise LinkDown(f"the relay broke the protocol: {error.text}") from None
            except Refusal as error:
                await trio.sleep((error.retry_ms or INBOX_RETRY_MS) / 1000)
            else:
                await self._inbox_work.wait()
