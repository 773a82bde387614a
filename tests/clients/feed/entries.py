"""Entries made by hand, as a relay would hand them out."""

from __future__ import annotations

from clients.feed.entries import about_of
from protocol.codec import encode_struct
from protocol.feeds import ERASE, PUBLIC, FeedHeader, erasing, seal_entry
from protocol.ids import feed_topic
from protocol.messages import Body, compose
from protocol.messages import feed as F
from protocol.messages.feed import Target
from protocol.requests import FeedEntry
from tests.support.people import Person, seed

NOW_MS = 1_750_000_000_000
ANN, BOB = Person("ann", NOW_MS), Person("bob", NOW_MS)


def raw(
    by: Person, body: Body, offset: int = 1, *, ts: int = NOW_MS, header: bytes | None = None, content: bytes = b"",
    flags: int = PUBLIC, tags: tuple[str, ...] = (), id_: bytes = b"",
) -> FeedEntry:  # fmt: skip
    """An entry; by default a good one."""
    message_id = id_ or seed(by.name, offset)[:16]
    if header is None and isinstance(body, F.Delete):
        header, flags = erasing(body.of.offset), flags | ERASE
    elif header is None:
        header = encode_struct(FeedHeader(body.TYPE.partition(".")[2], tags, about_of(by.account, body)))
    signed = seal_entry(by.key, feed_topic(by.account), message_id, header, content or compose(body))
    return FeedEntry(1, offset, message_id, by.account, by.device, ts, flags, header, signed)


def at(by: Person, offset: int) -> Target:
    """A reference to the entry that ``raw`` made there."""
    return Target(by.account, seed(by.name, offset)[:16], offset)
