"""One more entry, and pointers to it."""

from __future__ import annotations

from dataclasses import replace

from msgspec import structs

from protocol.codec import decode_struct
from protocol.feeds import Pointer
from protocol.ids import TopicKind, shard_topic
from protocol.position import chain_hash, chain_start
from storage.extending import extend, point
from storage.facts import TopicFacts
from storage.flags import ERASE, PUBLIC
from tests.storage.test_ordering import APPEND, FACTS, FEED

NOW_MS = 5_000


def test_offsets_times_and_hashes_follow() -> None:
    blank = TopicFacts(b"t" * 32, TopicKind.FEED, b"")
    author = (b"a" * 32, b"d" * 32, b"i" * 16)
    topic, entry = extend(blank, blank, author, PUBLIC, 0, 0, b"h", b"b", NOW_MS)
    assert (topic.head, entry.offset, entry.ts) == (1, 1, NOW_MS)
    value = chain_hash(chain_start(b"t" * 32), 1, 1, *author, 0, PUBLIC, b"h", b"b")
    assert entry.hash == topic.head_hash == value
    later, entry = extend(topic, topic, author, PUBLIC, 0, 0, b"h", b"b", NOW_MS - 9)
    assert (later.head, entry.ts) == (2, NOW_MS)  # times never go back
    assert entry.hash == chain_hash(value, 1, 2, *author, 0, PUBLIC, b"h", b"b")


def test_pointers_never_erase() -> None:
    shard, about = shard_topic(1), b"about" * 6 + b"xx"
    intent = replace(APPEND, flags=PUBLIC | ERASE, erases=2, header=bytes(8), pointers=(shard, about))
    _, entry = extend(FEED, FEED, (intent.account, intent.device, intent.id), intent.flags, 0, 0, b"", b"", NOW_MS)
    known = TopicFacts(shard, TopicKind.SHARD, b"", head=41)
    made = point(structs.replace(FACTS, pointed={shard: known}), intent, entry, NOW_MS)
    assert [(topic.kind, topic.head, pointer.flags) for topic, pointer in made] == [
        (TopicKind.SHARD, 42, PUBLIC), (TopicKind.ABOUT, 1, PUBLIC)
    ]  # fmt: skip
    assert decode_struct(made[0][1].body, Pointer) == Pointer(1, entry.offset, 2)
