"""One more entry of a log, and pointers to it in public logs. Pure."""

from __future__ import annotations

import msgspec

from protocol.codec import encode_struct
from protocol.feeds import Pointer
from protocol.ids import TopicKind
from protocol.position import chain_hash, chain_start
from storage.base import Append, Entry
from storage.facts import Facts, TopicFacts
from storage.flags import PUBLIC


def extend(
    before: TopicFacts, after: TopicFacts, author: tuple[bytes, bytes, bytes], flags: int, fence: int, ttl: int,
    header: bytes, body: bytes, now_ms: int,
) -> tuple[TopicFacts, Entry]:  # fmt: skip
    """One more entry by ``author`` (account, device, id): ``after`` with it at its head, and the entry."""
    offset, ts, generation = before.head + 1, max(now_ms, before.ts), before.generation
    previous = before.head_hash if before.head else chain_start(before.topic)
    value = chain_hash(previous, generation, offset, *author, fence, flags, header, body)
    account, device, id_ = author
    entry = Entry(before.topic, generation, offset, id_, account, device, ts, flags, fence, ttl, header, body, value)
    return msgspec.structs.replace(after, head=offset, head_hash=value, ts=ts), entry


def point(facts: Facts, intent: Append, entry: Entry, now_ms: int) -> list[tuple[TopicFacts, Entry]]:
    """A pointer to an entry of a feed in each of the logs that are to have one; what there is not yet begins with it.

    A pointer never carries ERASE: it would erase something of its own log.
    """
    author, header = (intent.account, intent.device, intent.id), b"" if intent.erases else intent.header
    body = encode_struct(Pointer(entry.generation, entry.offset, intent.erases))
    made = []
    for place, topic in enumerate(intent.pointers):
        kind = TopicKind.ABOUT if place else TopicKind.SHARD
        log = facts.pointed.get(topic) or TopicFacts(topic, kind, b"")
        made.append(extend(log, log, author, PUBLIC, 0, intent.ttl, header, body, now_ms))
    return made
