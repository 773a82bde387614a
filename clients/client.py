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
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from clients import account as accounts
from clients import records as R
from clients.blobs import BlobTransport
from clients.connection import Link, LinkDown, LinkStatistics
from clients.conversations import Conversation
from clients.directory import CannotAdd
from clients.engine import Engine
from clients.events import AnyEvent, AnyNotice, Event, decode_event
from clients.feed import Feed
from clients.files import Files, OnProgress, ignore
from clients.games import Games
from clients.games.staking import Staking
from clients.journal import JournalStatistics
from clients.keeper import Keeper
from clients.outbox import OutboxStatistics
from clients.presence import Presence
from clients.proof import read_invite
from clients.records import Status
from clients.reports import Reporter
from clients.tasks import open_tasks
from clients.vault import Vault
from clients.wallet import Wallet
from protocol.frames import Role
from protocol.identity import DeviceList, open_signed, safety_number
from protocol.ids import Entropy, TopicKind, group_topic, pair_topic
from protocol.messages.chat import Media
from protocol.reports import Ground
from protocol.requests import ClaimHandle, GetHandle

OUTBOX_ROWS_MAX = 2000  # `send` waits above this many unsent rows
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


class EventStream:
    """Events of a client, read from the vault a page at a time. Stop reading whenever you like."""

    def __init__(self, client: Client, after: int, topic: bytes | None) -> None:
        self._client = client
        self._after = after
        self._topic = topic
        self._page: deque[AnyEvent] = deque()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> AnyEvent:
        vault = self._client.engine.shelf.vault
        while not self._page:
            news = self._client.news
            rows = await trio.to_thread.run_sync(vault.events, self._after, EVENTS_READ, self._topic)
            self._page.extend(decode_event(value, seq) for seq, value in rows)
            if not rows:
                await news.wait()
        event = self._page.popleft()
        self._after = event.seq
        return event


class Client:
    """See ``open_client``."""

    def __init__(
        self, url: str, vault: Vault, clock_ms: Callable[[], int], entropy: Entropy, invite: bytes | None = None
    ) -> None:
        self.url = url
        self.engine = Engine(vault, self._publish, clock_ms, entropy)
        self._keeper = Keeper(url, self.engine, self._notify)
        transport = BlobTransport(url, self.wait_connected, clock_ms)
        self.files = Files(self.engine, transport, self.room_to_send, self._check_keys)
        self.reporter = Reporter(
            self.engine.shelf, self.engine.receiver.evidence, self.engine.directory, self.wait_connected
        )  # fmt: skip
        self.wallet = Wallet(self.engine, self._pair_topic, self.find, self._check_keys)
        self.feed = Feed(
            self.engine, self.wait_connected, self.files, self.room_to_send, self._group_topic, self._pair_topic,
            self.find, self.conversation,
        )  # fmt: skip
        self.games = Games(self.engine, self._pair_topic, self.find)
        self.staking = Staking(self.games, self.wallet, self.account)
        for hear in (self.wallet.book.heard, self.games.book.heard):
            self.engine.shelf.journal.listen(hear)
        self._keeper.invite = invite
        self.news = trio.Event()  # set, and replaced, whenever something was told
        self._listeners: set[trio.MemorySendChannel[AnyNotice]] = set()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises ``VaultError`` when the vault cannot be written any more."""
        await self._keeper.run()

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
        """All conversations, by topic; not the one of our own devices."""
        talks = self.engine.shelf.conversations.values()
        return {talk.topic: Conversation(self, talk.topic) for talk in talks if talk.kind != TopicKind.SELF}

    def conversation(self, topic: bytes) -> Conversation:
        """One of them. Raises ``KeyError``."""
        self.engine.shelf.conversations[topic]
        return Conversation(self, topic)

    @property
    def presence(self) -> Presence:
        """Who is here, and what others are told of us."""
        return self.engine.presence

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
            await self._keeper.link_changed.wait()
        return self.engine.link

    async def wait_news(self) -> None:
        """Wait until something was told: an event or a notice."""
        await self.news.wait()

    # -- events --------------------------------------------------------------------------------------------------------
    def _publish(self, told: list[AnyEvent | AnyNotice]) -> None:
        for item in told:
            if not isinstance(item, Event):
                self._hand_out(item)
        self._wake()

    def _notify(self, notice: AnyNotice) -> None:
        self._hand_out(notice)
        self._wake()

    def _wake(self) -> None:
        self.news.set()
        self.news = trio.Event()

    def _hand_out(self, notice: AnyNotice) -> None:
        for channel in list(self._listeners):
            try:
                channel.send_nowait(notice)
            except (trio.WouldBlock, trio.BrokenResourceError):
                continue  # passing notices may be missed

    def events(self, after: int = 0, topic: bytes | None = None) -> EventStream:
        """Durable events after number ``after``, for ever, in order; of one conversation only if ``topic`` is given.

        Every event is durable before it is handed out. Remember its ``seq`` together with what you did about it, and
        start from there next time: then each is dealt with exactly once.
        """
        return EventStream(self, after, topic)

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
        known = self.engine.shelf.contacts.get(account)
        contact = R.Contact(account, name, verified, known is not None and known.changed and not verified)
        self.engine.shelf.save_contact(contact)
        self.engine.contacts.added(account)
        await self.engine.shelf.journal.flushed()
        return contact

    async def accept_keys(self, account: bytes) -> None:
        """Talk on with a contact whose keys have changed, without having compared safety numbers again."""
        contact = self.engine.shelf.contacts.get(account)
        if contact is not None and contact.changed:
            self.engine.shelf.save_contact(R.Contact(account, contact.name))
            await self.engine.shelf.journal.flushed()

    @property
    def own_devices(self) -> DeviceList:
        """Our own device list."""
        return open_signed(self.engine.shelf.identity.signed_list)

    async def accept(self, topic: bytes) -> None:
        """Let a request in: receipts and typing leave in it from now on. Raises ``KeyError``."""
        self.engine.contacts.accept(topic)
        await self.engine.shelf.journal.flushed()

    async def block(self, account: bytes) -> None:
        """Show nothing of an account, and tell it nothing, not even this. Raises ``NotAllowed``."""
        self.engine.contacts.block(account)
        await self.engine.shelf.journal.flushed()

    async def invite(self) -> bytes:
        """A token that makes whoever shows it no stranger. Raises ``NotAllowed``."""
        token = self.engine.contacts.invite()
        await self.engine.shelf.journal.flushed()
        return token

    async def settled(self) -> None:
        """Wait until nothing waits to be sent, and groups are as device lists want them."""
        while self.engine.shelf.outgoing or self.engine.care.is_busy:
            with trio.move_on_after(1):
                await self.wait_news()

    async def claim(self, accounts_: list[bytes]) -> tuple[R.Addition, ...]:
        """Checked key packages of every device of some accounts. Raises ``CannotAdd``, ``Refusal``, ``LinkDown``."""
        return await self.engine.directory.claim(await self.wait_connected(), accounts_)

    # -- conversations -------------------------------------------------------------------------------------------------
    async def pair(self, account: bytes) -> Conversation:
        """The conversation with another account, founded if it is new. Messages may be sent at once.

        Raises ``CannotAdd`` if they cannot be added, or if one of you has left it: that cannot be undone yet.
        """
        if account == self.account:
            raise CannotAdd("a conversation of two needs somebody else")
        topic = pair_topic(self.account, account)
        if self._may_found(topic):
            additions = await self.claim([account])
            if self._may_found(topic):  # a Welcome may have come meanwhile
                plan = R.Plan(TopicKind.PAIR, create_peer=account, add=additions, roles=((account, Role.OWNER),))
                await self._found(R.Conversation(topic, TopicKind.PAIR, Status.FOUNDING), plan)
        return Conversation(self, topic)

    def _may_found(self, topic: bytes) -> bool:
        """Whether a pair has still to be founded: it is unknown here, or founding it failed before."""
        known = self.engine.shelf.conversations.get(topic)
        if known is None or (known.status == Status.REMOVED and not known.cursor):
            return True
        if known.kind != TopicKind.PAIR:
            raise CannotAdd("a conversation that is no pair goes by this pair's topic; do not trust who invited you")
        if known.status in (Status.REMOVED, Status.LEFT):
            raise CannotAdd("this conversation of two was left, and cannot be entered again; start a group instead")
        return False

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

    async def download(self, media: Media, to: Path, *, progress: OnProgress = ignore) -> Path:
        """Fetch a file that a message describes; see ``Files.download``."""
        return await self.files.download(media, to, progress)

    async def report(
        self, topic: bytes, offset: int, ground: Ground = Ground.OTHER, text: str = "", *, attach: Sequence[int] = ()
    ) -> int:  # fmt: skip
        """Report somebody's message to the operator, who can then prove who said it; see ``Reporter.report``."""
        return await self.reporter.report(topic, offset, ground, text, attach)

    async def _pair_topic(self, account: bytes) -> bytes:
        return (await self.pair(account)).topic

    async def _group_topic(self, accounts_: list[bytes], title: str) -> bytes:
        return (await self.group(accounts_, title)).topic

    def _check_keys(self, topic: bytes) -> None:
        self.conversation(topic).check_keys()

    async def room_to_send(self) -> None:
        """Wait while the outbox is full."""
        while len(self.engine.shelf.outgoing) >= OUTBOX_ROWS_MAX:
            await self.news.wait()


@asynccontextmanager
async def open_client(
    url: str, vault: Vault, *, clock_ms: Callable[[], int] = now_ms, entropy: Entropy = os.urandom,
    requests: bool = False, invite: str | None = None,
) -> AsyncIterator[Client]:  # fmt: skip
    """Run a client over a vault as long as the block lasts; an identity is made if the vault has none.

    ``requests``: conversations that strangers begin wait until they are accepted; else whoever comes is served.
    ``invite``: an invitation as the operator gave it, for a relay that wants one. Raises ``ValueError`` if it is none.
    The vault stays the caller's to close. Leaving the block writes what is noted and drops the connection.
    """
    token = None if invite is None else read_invite(invite)
    if not accounts.has_identity(vault):
        await trio.to_thread.run_sync(accounts.create_identity, vault, clock_ms(), entropy)
    client = Client(url, vault, clock_ms, entropy, token)
    client.engine.contacts.holds_requests = requests
    async with open_tasks((LinkDown,)) as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(client.staking.run)
        try:
            yield client
        finally:
            nursery.cancel_scope.cancel()
    with trio.CancelScope(shield=True):
        await client.engine.shelf.journal.commit()
