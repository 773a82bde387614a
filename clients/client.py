"""The client: one device of one account, connected to a relay whenever there is one.

::

    async with open_client(url, vault) as client:
        talk = await client.pair(await client.find("bob"))
        await talk.send("hello")
        async for event in client.events(after=last_seen):
            ...

It reconnects with full jitter, or when the relay says; everything said meanwhile waits in the vault and goes out in
order.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from clients import account as accounts
from clients import records as R
from clients.connection import Link, LinkDown, LinkStatistics, Refusal, only, open_link
from clients.conversations import Conversation
from clients.directory import CannotAdd
from clients.engine import Engine
from clients.events import AnyEvent, AnyNotice, Connected, Disconnected, Event, decode_event
from clients.journal import JournalStatistics
from clients.outbox import OutboxStatistics
from clients.records import Status
from clients.vault import Vault
from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import AnyFrame, Evt, Pub, Role, Subscription
from protocol.identity import safety_number
from protocol.ids import Entropy, TopicKind, group_topic, pair_topic
from protocol.requests import ClaimHandle, DevicesChanged, GetHandle, KeyPackagesLow, PutBlob

AGENT = "chappe/0.1"
RECEIPT_DELAY_S = 0.15  # a burst of messages is answered by one receipt
OUTBOX_ROWS_MAX = 2000  # `send` waits above this many unsent rows
PENDING_WRITES_MAX = 1000  # reading from the relay waits above this many unwritten notes
EVENTS_READ = 256
NOTICES_MAX = 256  # passing notices an application may be behind; older ones are dropped


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """Figures of every queue of a client."""

    journal: JournalStatistics
    outbox: OutboxStatistics
    link: LinkStatistics | None


class Client:
    """See ``open_client``."""

    def __init__(self, url: str, vault: Vault, clock_ms: Callable[[], int], entropy: Entropy) -> None:
        self.url = url
        self.engine = Engine(vault, self._publish, clock_ms, entropy)
        self._news = trio.Event()
        self._link_changed = trio.Event()
        self._inbox_work = trio.Event()
        self._listeners: set[trio.MemorySendChannel[AnyNotice]] = set()
        self._timers: set[tuple[str, bytes]] = set()
        self._nursery: trio.Nursery | None = None
        self._drop_link: trio.CancelScope | None = None
        self._rows_changed = trio.Event()
        engine = self.engine
        engine.outbox.alarm = lambda topic, at: self._timer("pump", topic, at - clock_ms(), engine.outbox.pump)
        engine.outbox.founded = self._founded
        engine.receiver.receipt_due = lambda topic: self._timer(
            "receipt", topic, RECEIPT_DELAY_S * 1000, engine.acknowledge
        )
        engine.receiver.roster_changed = self._roster_changed
        engine.inbox.work_waits = lambda: self._inbox_work.set()
        engine.inbox.joined = self._joined
        engine.event = self._event
        engine.restart = self._restart

    # -- looking -------------------------------------------------------------------------------------------------------
    @property
    def account(self) -> bytes:
        """Our account."""
        return self.engine.shelf.account

    @property
    def connected(self) -> bool:
        """Whether we are logged in now."""
        return self.engine.link is not None

    @property
    def conversations(self) -> dict[bytes, Conversation]:
        """All conversations, by topic."""
        return {topic: Conversation(self, topic) for topic in self.engine.shelf.conversations}

    def conversation(self, topic: bytes) -> Conversation:
        """One of them. Raises ``KeyError``."""
        self.engine.shelf.conversations[topic]
        return Conversation(self, topic)

    def safety_number(self, account: bytes) -> str:
        """The 60 digits to compare with another account's owner."""
        return safety_number(self.account, account)

    def statistics(self) -> ClientStatistics:
        """Figures of now."""
        link = self.engine.link
        return ClientStatistics(
            self.engine.shelf.journal.statistics(),
            self.engine.outbox.statistics(),
            None if link is None else link.statistics(),
        )

    async def wait_connected(self) -> Link:
        """Wait for a login."""
        while self.engine.link is None:
            await self._link_changed.wait()
        return self.engine.link

    # -- events --------------------------------------------------------------------------------------------------------
    def _publish(self, told: list[AnyEvent | AnyNotice]) -> None:
        for item in told:
            if not isinstance(item, Event):
                self._notify(item)
        self._news.set()
        self._news = trio.Event()
        self._rows_changed.set()
        self._rows_changed = trio.Event()

    def _notify(self, notice: AnyNotice) -> None:
        for channel in list(self._listeners):
            try:
                channel.send_nowait(notice)
            except (trio.WouldBlock, trio.BrokenResourceError):
                continue  # passing notices may be missed

    async def events(self, after: int = 0, topic: bytes | None = None) -> AsyncIterator[AnyEvent]:
        """Durable events after number ``after``, for ever, in order; of one conversation only if ``topic`` is given.

        Every event is durable before it is handed out. Remember its ``seq`` together with what you did about it, and
        start from there next time: then each is dealt with exactly once.
        """
        vault = self.engine.shelf.vault
        while True:
            news = self._news
            rows = await trio.to_thread.run_sync(vault.events, after, EVENTS_READ, topic)
            for seq, value in rows:
                after = seq
                yield decode_event(value, seq)
            if not rows:
                await news.wait()

    @asynccontextmanager
    async def notices(self) -> AsyncIterator[trio.MemoryReceiveChannel[AnyNotice]]:
        """Passing notices from now on: connection, caught up, typing."""
        send, receive = trio.open_memory_channel[AnyNotice](NOTICES_MAX)
        self._listeners.add(send)
        try:
            async with receive:
                yield receive
        finally:
            self._listeners.discard(send)

    # -- people --------------------------------------------------------------------------------------------------------
    async def claim_handle(self, handle: str) -> None:
        """Take a handle at the relay. Raises ``Refusal`` if somebody has it."""
        await (await self.wait_connected()).ask("handles.claim", ClaimHandle(handle), type(None))
        self.engine.shelf.identity.handle = handle
        self.engine.shelf.save_identity()
        await self.engine.shelf.journal.flushed()

    async def find(self, handle: str) -> bytes:
        """The account that the relay says a handle belongs to; compare safety numbers before you believe it."""
        return await (await self.wait_connected()).ask("handles.get", GetHandle(handle), bytes)

    async def add_contact(self, account: bytes, name: str, *, verified: bool = False) -> R.Contact:
        """Keep somebody under a local name; ``verified`` after the safety number was compared."""
        contact = R.Contact(account, name, verified)
        self.engine.shelf.save_contact(contact)
        await self.engine.shelf.journal.flushed()
        return contact

    async def claim(self, accounts_: list[bytes]) -> tuple[R.Addition, ...]:
        """Checked key packages of every device of some accounts. Raises ``CannotAdd``, ``Refusal``, ``LinkDown``."""
        return await self.engine.directory.claim(await self.wait_connected(), accounts_)

    # -- conversations -------------------------------------------------------------------------------------------------
    async def pair(self, account: bytes) -> Conversation:
        """The conversation with another account, founded if it is new. Messages may be sent at once."""
        if account == self.account:
            raise CannotAdd("a conversation of two needs somebody else")
        topic = pair_topic(self.account, account)
        known = self.engine.shelf.conversations.get(topic)
        if known is None or known.status in (Status.REMOVED, Status.LEFT):
            additions = await self.claim([account])
            plan = R.Plan(TopicKind.PAIR, create_peer=account, add=additions, roles=((account, Role.OWNER),))
            if topic not in self.engine.shelf.conversations:  # a Welcome may have come meanwhile
                await self._found(R.Conversation(topic, TopicKind.PAIR, Status.FOUNDING), plan)
        return Conversation(self, topic)

    async def group(self, accounts_: list[bytes], title: str) -> Conversation:
        """Found a group with some accounts. Raises ``CannotAdd`` if one of them cannot be added."""
        others = [account for account in accounts_ if account != self.account]
        additions = await self.claim(others) if others else ()
        nonce = self.engine.shelf.entropy(16)
        topic = group_topic(self.account, nonce)
        roles = tuple((account, Role.MEMBER) for account in others)
        plan = R.Plan(TopicKind.GROUP, nonce, title=title, add=additions, roles=roles)
        await self._found(R.Conversation(topic, TopicKind.GROUP, Status.FOUNDING, title=title), plan)
        return Conversation(self, topic)

    async def _found(self, talk: R.Conversation, plan: R.Plan) -> None:
        talk.founder = True
        talk.roster = {self.account: Role.OWNER}
        self.engine.shelf.save(talk)
        self.engine.plan(talk, plan, quiet=True)
        await self.engine.shelf.journal.flushed()

    async def room_to_send(self) -> None:
        """Wait while the outbox is full."""
        while len(self.engine.shelf.outgoing) >= OUTBOX_ROWS_MAX:
            await self._rows_changed.wait()

    # -- what the engine asks for --------------------------------------------------------------------------------------
    def _timer(self, kind: str, topic: bytes, delay_ms: float, action: Callable[[bytes], None]) -> None:
        """Do something about a topic in a while; once, however often it is asked for meanwhile."""
        if self._nursery is not None and (kind, topic) not in self._timers:
            self._timers.add((kind, topic))
            self._nursery.start_soon(self._ring, kind, topic, delay_ms, action)

    async def _ring(self, kind: str, topic: bytes, delay_ms: float, action: Callable[[bytes], None]) -> None:
        await trio.sleep(max(delay_ms, 0) / 1000)
        self._timers.discard((kind, topic))
        action(topic)

    def _founded(self, topic: bytes) -> None:
        talk = self.engine.shelf.conversations[topic]
        self.engine.subscribe([Subscription(topic, (talk.generation, talk.cursor))])

    def _joined(self, talk: R.Conversation) -> None:
        if talk.topic not in self.engine.tids.values():
            self.engine.subscribe([Subscription(talk.topic, (talk.generation, talk.cursor))])
        self.engine.outbox.pump(talk.topic)
        self._roster_changed(talk.topic)

    def _roster_changed(self, topic: bytes) -> None:
        self._timer("judge", topic, 0, self._judge_soon)
        self._timer("clean", topic, 0, self.engine.clean_up)
        talk = self.engine.shelf.conversations[topic]
        if talk.status == Status.LOCKED:
            self._timer("readmit", topic, talk.readmit_at_ms - self.engine.shelf.clock_ms(), self._readmit)

    def _readmit(self, topic: bytes) -> None:
        talk = self.engine.shelf.conversations[topic]
        self.engine.ask_readmission(talk)
        if talk.status == Status.LOCKED:
            self._timer("readmit", topic, talk.readmit_at_ms - self.engine.shelf.clock_ms(), self._readmit)

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
            self._nursery.start_soon(self._upkeep, self.engine.link, left)
        elif evt.name == "devices":
            changed = decode_struct(evt.payload, DevicesChanged).account
            self._nursery.start_soon(self._learn, changed)

    async def _learn(self, account: bytes) -> None:
        link = self.engine.link
        if link is not None:
            try:
                await self.engine.directory.fetch(link, [account])
            except (LinkDown, Refusal, RemoteProtocolError):
                return

    def _restart(self) -> None:
        if self._drop_link is not None:
            self._drop_link.cancel()

    # -- the connection ------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Stay connected until cancelled, or until the relay refuses this device for good."""
        async with trio.open_nursery(strict_exception_groups=False) as nursery:
            self._nursery = nursery
            nursery.start_soon(self.engine.shelf.journal.run)
            tries = 0
            while True:
                started = trio.current_time()
                try:
                    reason, wait_ms = await self._connection(), 0
                except (LinkDown, BaseExceptionGroup) as caught:
                    error = only(caught, LinkDown)
                    if error.final:
                        self._notify(Disconnected(reason=error.reason, retry_ms=None))
                        return
                    tries = 0 if trio.current_time() - started > 5 else tries + 1
                    reason, wait_ms = error.reason, self._wait_ms(error, tries)
                self._notify(Disconnected(reason=reason, retry_ms=wait_ms))
                await trio.sleep(wait_ms / 1000)

    def _wait_ms(self, error: LinkDown, tries: int) -> int:
        """Full jitter over a doubling bound, after the delay that the relay asked for, if it did."""
        bound = min(L.RECONNECT_MS_MAX, L.RECONNECT_MS_MIN << min(tries, 10))
        jitter = int.from_bytes(self.engine.shelf.entropy(4), "big") * bound // 2**32
        return (error.retry_ms or 0) + jitter

    async def _connection(self) -> str:
        engine, shelf = self.engine, self.engine.shelf
        async with open_link(self.url, shelf.clock_ms) as link:
            version = 0 if self.account not in shelf.lists else shelf.lists[self.account].version
            login = await link.log_in(shelf.device, shelf.account, version, AGENT, shelf.entropy)
            try:
                with trio.CancelScope() as scope:
                    self._drop_link = scope
                    async with trio.open_nursery(strict_exception_groups=False) as nursery:
                        nursery.start_soon(link.run, self._frames)
                        if not login.registered:
                            await self._register(link)
                        self._attached(link)
                        nursery.start_soon(self._upkeep, link, login.key_packages)
                        nursery.start_soon(self._work_inbox, link)
                return "the relay broke the order of a conversation; connecting anew"
            finally:
                self._drop_link = None
                engine.detach()
                self._link_changed = trio.Event()

    async def _register(self, link: Link) -> None:
        try:
            await accounts.register(self.engine.shelf, link)
        except Refusal as error:
            raise LinkDown(f"the relay does not register this account: {error.text}", final=True) from None

    def _attached(self, link: Link) -> None:
        self.engine.attach(link)

        def transmit(pub: Pub, blobs: tuple[R.Blob, ...], reply: Callable[..., None]) -> None:
            if blobs and self._nursery is not None:
                self._nursery.start_soon(self._with_blobs, link, pub, blobs, reply)
            else:
                link.request(pub, reply)

        self.engine.outbox.connected(transmit)
        self._notify(Connected(url=self.url))
        self._link_changed.set()
        for talk in self.engine.shelf.conversations.values():
            self._roster_changed(talk.topic)

    async def _with_blobs(
        self, link: Link, pub: Pub, blobs: tuple[R.Blob, ...], reply: Callable[..., None]
    ) -> None:  # fmt: skip
        """Upload what a commit refers to, then the commit."""
        try:
            for blob in blobs:
                await link.ask("blobs.put", PutBlob(blob.hash, blob.data), type(None))
        except (LinkDown, RemoteProtocolError):
            return
        except Refusal as error:
            reply(error.err)
            return
        link.request(pub, reply)

    async def _frames(self, frames: list[AnyFrame]) -> None:
        for frame in frames:
            self.engine.frame(frame)
        if self.engine.shelf.journal.statistics().waiting > PENDING_WRITES_MAX:
            await self.engine.shelf.journal.flushed()

    async def _upkeep(self, link: Link, left: int) -> None:
        try:
            await accounts.renew_list(self.engine.shelf, link)
            await accounts.refill_key_packages(self.engine.shelf, link, left)
        except (LinkDown, Refusal, RemoteProtocolError):
            return  # done again after the next login

    async def _work_inbox(self, link: Link) -> None:
        while True:
            self._inbox_work = trio.Event()
            try:
                await self.engine.inbox.work(link)
            except (LinkDown, Refusal):
                return
            await self._inbox_work.wait()


@asynccontextmanager
async def open_client(
    url: str, vault: Vault, *, clock_ms: Callable[[], int] = now_ms, entropy: Entropy = os.urandom
) -> AsyncIterator[Client]:
    """Run a client over a vault as long as the block lasts; an identity is made if the vault has none.

    The vault stays the caller's to close. Leaving the block writes what is noted and drops the connection.
    """
    if not accounts.has_identity(vault):
        await trio.to_thread.run_sync(accounts.create_identity, vault, clock_ms(), entropy)
    client = Client(url, vault, clock_ms, entropy)
    async with trio.open_nursery(strict_exception_groups=False) as nursery:
        nursery.start_soon(client.run)
        try:
            yield client
        finally:
            nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await client.engine.shelf.journal.commit()
