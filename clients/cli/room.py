"""What both faces of ``chappe chat`` (lines for people, JSON for scripts) do with a client: names, and verbs."""

from __future__ import annotations

from typing import Any

import trio
from rich.markup import escape as escape_markup

from clients import records as R
from clients.client import Client
from clients.conversations import Conversation
from clients.devices.code import is_invite, read_invite
from clients.events import AnyEvent, Delivered, Received
from clients.filenames import safe_name
from clients.presence import State
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.ids import TopicKind
from protocol.manifest import is_genuine
from protocol.messages import Unknown, parse
from protocol.messages.chat import Media, Text
from protocol.messages.ext import Manifest


class NotFound(ChappeError):
    """No contact or conversation of that name."""


class OtherAccount(ChappeError):
    """A contact's handle leads to somebody else now; the text says what to do."""


_JOINER = "\u200d"  # holds emoji together


def clean(text: str) -> str:
    """Text of others without what could drive a terminal: control, direction and other invisible characters."""
    return "".join(c if c.isprintable() or c in ("\n", _JOINER) else "\ufffd" for c in text)


def short(value: bytes) -> str:
    """The first digits of a key or topic, for people."""
    return value.hex()[:8]


class Follower:
    """How far a face has shown the events, for notices that belong behind one of them."""

    def __init__(self) -> None:
        self._seq = 0
        self._changed = trio.Event()

    def passed(self, seq: int) -> None:
        """An event was shown."""
        self._seq = seq
        self._changed.set()
        self._changed = trio.Event()

    async def reached(self, seq: int) -> None:
        """Wait until an event was shown."""
        while self._seq < seq:
            await self._changed.wait()


def escape(text: str) -> str:
    """Text of others as the console may show it: neither markup nor control characters of it count."""
    return escape_markup(clean(text))


class Room:
    """A client with names for people and conversations."""

    def __init__(self, client: Client) -> None:
        self.client = client

    # -- names ---------------------------------------------------------------------------------------------------------
    def who(self, talk: Conversation) -> list[str]:
        """A line for each of the others in a conversation: whether they are here, as far as they let it be known."""
        now_ms = self.client.engine.shelf.clock_ms()
        lines = []
        for account in sorted(set(talk.members) - {self.client.account}, key=self.name_of):
            seen = self.client.presence.of(account)
            hours = max(0, now_ms - seen.seen_ms) // 3_600_000
            here = f"last here {hours} h ago" if seen.seen_ms else "not here"
            lines.append(f"{self.name_of(account)}: {here if seen.state is State.HIDDEN else seen.state.name.lower()}")
        return lines

    def name_of(self, account: bytes) -> str:
        """What to call an account."""
        if account == self.client.account:
            return "me"
        contact = self.client.engine.shelf.contacts.get(account)
        return contact.name if contact is not None else self._worker(account) or short(account)

    def _worker(self, account: bytes) -> str:
        """The job of a worker that this client has chosen, or that it is one, by its own list; empty: neither."""
        wallet, rank = self.client.wallet.book.home, self.client.feed.rank.home
        if wallet is not None and wallet.worker == account:
            return "settlement"
        if rank is not None and rank.account == account:
            return "ranking"
        if any(match.referee == account for match in self.client.games.matches):
            return "referee"
        listed = self.client.engine.shelf.lists.get(account)
        return f"worker {short(account)}" if listed is not None and listed.service else ""

    def title_of(self, talk: Conversation) -> str:
        """What to call a conversation."""
        if talk.record.kind == TopicKind.PAIR:
            peer = talk.peer
            return "?" if peer is None else self.name_of(peer)
        return talk.title or short(talk.topic)

    def account_of(self, name: str) -> bytes:
        """The account of a contact's name. Raises ``NotFound``."""
        for contact in self.client.engine.shelf.contacts.values():
            if contact.name == name:
                return contact.account
        raise NotFound(f"no contact is called {name!r}; add one with /add {name}")

    def conversation_of(self, name: str) -> Conversation:
        """A conversation by its title, its peer's name or the start of its topic. Raises ``NotFound``."""
        found = [
            talk
            for topic, talk in self.client.conversations.items()
            if self.title_of(talk) == name or (len(name) >= 4 and topic.hex().startswith(name))
        ]
        if not found:
            raise NotFound(f"no conversation is called {name!r}; /list shows them")
        return found[0]

    # -- verbs ---------------------------------------------------------------------------------------------------------
    async def add(self, handle: str) -> tuple[bytes, str]:
        """Look a handle up at the relay, or read an invitation, and keep it as a contact: (account, safety number)."""
        if is_invite(handle):
            account, token = read_invite(handle)
            self.client.engine.shelf.save_token(R.Token(account, token))
            handle = short(account)
        else:
            account = await self.client.find(handle)
            self._check_name(handle, account)
        known = self.client.engine.shelf.contacts.get(account)
        await self.client.add_contact(account, handle, verified=known is not None and known.verified)
        return account, self.client.safety_number(account)

    def _check_name(self, handle: str, account: bytes) -> None:
        """A handle that leads to another account than before: they began anew, or the relay lies."""
        for contact in self.client.engine.shelf.contacts.values():
            if contact.name == handle and contact.account != account:
                known = "verified" if contact.verified else "know"
                raise OtherAccount(
                    f"the relay says that {handle} is another account now than the one that you {known}; nothing was "
                    f"changed. Ask them in person; if they did begin anew, add them by their /invite-link"
                )

    async def verify(self, name: str) -> None:
        """Note that a contact's safety number was compared and is the same."""
        account = self.account_of(name)
        await self.client.add_contact(account, name, verified=True)

    async def group(self, title: str, names: list[str]) -> Conversation:
        """Found a group with contacts."""
        return await self.client.group([self.account_of(name) for name in names], title)

    # -- showing -------------------------------------------------------------------------------------------------------
    def as_json(self, event: AnyEvent) -> dict[str, Any]:
        """An event as JSON can carry it: bytes as hex, a message's type, text and body beside its raw content."""
        result: dict[str, Any] = {"event": type(event).__name__.lower()}
        for field in event.__struct_fields__:
            result[field] = _plain(getattr(event, field))
        if isinstance(event, Received):
            del result["content"]
            result["from"] = self.name_of(event.account)
            result.update(describe(event.content))
        if isinstance(event, Delivered):
            result["to"] = self.name_of(event.account)
        return result

    def summary(self, talk: Conversation) -> dict[str, Any]:
        """A conversation as JSON can carry it."""
        record = talk.record
        return {
            "topic": talk.topic.hex(), "title": self.title_of(talk), "status": talk.status.name.lower(),
            "members": {account.hex(): role for account, role in record.roster.items()},
            "offset": record.cursor, "fence": record.fence, "group": record.group, "chain": record.chain.hex(),
            "authenticator": None if talk.epoch_authenticator is None else talk.epoch_authenticator.hex(),
        }  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def size_text(size: int) -> str:
    """A number of bytes for people."""
    if size < 1000:
        return f"{size} bytes"
    value, units = size / 1000, iter(("kB", "MB"))
    unit = next(units)
    while value >= 1000 and unit != "MB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"


def describe(content: bytes) -> dict[str, Any]:
    """Type and readable text of a content."""
    try:
        message = parse(content)
    except RemoteProtocolError as error:
        return {"type": "?", "text": f"[{error.text}]"}
    body = message.body
    if isinstance(body, Unknown):
        return {"type": body.type, "text": message.fallback}
    text = body.text if isinstance(body, Text) else message.content.fb
    result: dict[str, Any] = {"type": message.content.t, "text": text}
    if isinstance(body, Media):
        result["text"] = f"[{safe_name(body.name)}, {size_text(body.size)}] {body.caption}".rstrip()
        result["media"] = {"name": body.name, "mime": body.mime, "size": body.size, "hash": body.hash.hex()}
    if message.content.re is not None:
        result["re"] = message.content.re.id.hex()
    if message.content.rp is not None:
        result["rp"] = message.content.rp.hex()
    return result


def introduction(content: bytes, account: bytes) -> str | None:
    """What a worker says of itself, as a sentence; None if the content is no manifest."""
    try:
        body = parse(content).body
    except RemoteProtocolError:
        return None
    if not isinstance(body, Manifest):
        return None
    if not is_genuine(body, account):
        return "a manifest that was not signed by the account which sent it: do not believe it"
    parts = [f"{body.name} is a worker: it acts on {', '.join(body.consumes) or 'nothing'}"]
    parts += [f"it keeps: {body.keeps}"] if body.keeps else []
    parts += [f"you trust it: {body.trust}"] if body.trust else []
    return clean("; ".join(parts))
