"""Public entries as their readers take them: signed by the author's device, of the kind that their header says. Pure.

An entry that fails a check is no entry: ``FeedError`` says why, and it is counted, never shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import RemoteProtocolError
from protocol.feeds import ERASE, PUBLIC, FeedError, entry_hash, open_entry, read_header
from protocol.ids import entry_key, feed_topic, followers_key, lists_key, profile_key
from protocol.messages import Body, parse
from protocol.messages import feed as F
from protocol.messages.feed import Target
from protocol.requests import FeedEntry

SHOWN = (F.Post, F.Reply, F.Quote, F.Repost)  # what a timeline is made of


def target_of(body: Body) -> Target | None:
    """The entry that a body answers, repeats, likes or changes."""
    found = getattr(body, "of", None) or getattr(body, "to", None)
    return found if isinstance(found, Target) else None


def about_of(account: bytes, body: Body) -> bytes:
    """What the header of an entry by ``account`` says that it is about."""
    if isinstance(body, F.Profile):
        return profile_key(account)
    if isinstance(body, F.List):
        return lists_key(account)
    if isinstance(body, F.Follow):
        return followers_key(body.account)
    target = target_of(body)
    return b"" if target is None else entry_key(target.account, target.id)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, checked. ``doubt``: not empty where its device is not on the author's list as it is now."""

    account: bytes
    id: bytes
    generation: int
    offset: int
    ts: int  # by the relay's clock, Unix ms
    tags: tuple[str, ...]
    body: Body
    hash: bytes
    doubt: str = ""

    @property
    def key(self) -> bytes:
        """What the entry is known by everywhere."""
        return entry_key(self.account, self.id)

    @property
    def kind(self) -> str:
        """The type of its body without the family."""
        return self.body.TYPE.partition(".")[2]

    @property
    def target(self) -> Target:
        """How others refer to it."""
        return Target(self.account, self.id, self.offset, self.hash)

    @property
    def about(self) -> Target | None:
        """The entry that it answers, repeats, likes or changes."""
        return target_of(self.body)

    @property
    def about_key(self) -> bytes:
        """The key of that entry; empty if there is none."""
        target = self.about
        return b"" if target is None else entry_key(target.account, target.id)

    @property
    def text(self) -> str:
        """What it says."""
        return str(getattr(self.body, "text", ""))

    @property
    def media(self) -> tuple[F.File, ...]:
        """Its files."""
        return getattr(self.body, "media", ())

    def __repr__(self) -> str:
        return f"Entry({self.kind}, {self.account.hex()[:8]}, offset {self.offset})"


def check_entry(raw: FeedEntry) -> Entry:
    """An entry from the relay. Raises ``FeedError``."""
    if not raw.flags & PUBLIC:
        raise FeedError("not a public entry")
    content = open_entry(feed_topic(raw.account), raw.device, raw.id, raw.header, raw.body)
    try:
        message = parse(content)
        tags: tuple[str, ...] = ()
        kind, about = "delete", b""
        if not raw.flags & ERASE:
            header = read_header(raw.header)
            tags, kind, about = header.tags, header.kind, header.about
    except RemoteProtocolError as error:
        raise FeedError(f"it cannot be read: {error.text}") from None
    body = message.body
    if not isinstance(body, Body) or f"feed.{kind}" != body.TYPE:
        raise FeedError(f"its header says {kind}, its content is something else")
    entry = Entry(raw.account, raw.id, raw.generation, raw.offset, raw.ts, tags, body, entry_hash(raw.body))
    _check_target(entry, raw, about)
    return entry


def _check_target(entry: Entry, raw: FeedEntry, about: bytes) -> None:
    if isinstance(entry.body, F.Delete):
        if not raw.flags & ERASE or int.from_bytes(raw.header, "big") != entry.body.of.offset:
            raise FeedError("it takes back another entry than it says")
        about = entry_key(entry.body.of.account, entry.body.of.id)
    if about != about_of(entry.account, entry.body):
        raise FeedError("its header points to another entry than its content")
    if isinstance(entry.body, F.Edit | F.Delete) and entry.body.of.account != entry.account:
        raise FeedError("nobody changes what others have said")
