"""Public topics at the relay: posting, reading by position, single entries, and what is refused with which code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol import frames as F
from protocol import requests as R
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code
from protocol.feeds import FeedHeader, Pointer, erasing, seal_entry
from protocol.frames import Flag
from protocol.ids import TopicKind, about_topic, entry_key, feed_topic, shard_of, shard_topic
from relay import feeds
from tests.support.lab import FakeClient, open_lab
from tests.support.people import Person, group

FOUND = F.Bundle(create=F.Create(TopicKind.FEED))


def entry(
    by: Person, header: FeedHeader | None = None, *, raw: bytes | None = None, body: bytes = b"content",
    bundle: F.Bundle | None = None, flags: int = Flag.PUBLIC, feed: bytes = b"", id_: bytes = b"",
) -> F.Pub:  # fmt: skip
    """A PUB into the own feed."""
    topic, message_id = feed or feed_topic(by.account), id_ or by.id()
    head = encode_struct(header or FeedHeader("post")) if raw is None else raw
    sealed = seal_entry(by.key, topic, message_id, head, body)
    return F.Pub(0, topic, message_id, flags=flags, header=head, body=sealed, bundle=bundle)


async def posted(client: FakeClient, pub: F.Pub) -> F.PubResult:
    return await client.ok(pub, F.PubResult)


async def page(client: FakeClient, topic: bytes, after: int = 0, limit: int = 100) -> R.FeedPage:
    return await client.request("feeds.read", R.ReadFeed(topic, after, limit), R.FeedPage)


async def test_everybody_reads_what_one_posts() -> None:
    async with open_lab() as lab:
        ann, bob = lab.person("ann"), lab.person("bob")
        writer, reader = await lab.register(ann), await lab.register(bob)
        first = entry(ann, FeedHeader("post", ("news",)), bundle=FOUND)
        await posted(writer, first)
        key = entry_key(ann.account, first.id)
        await posted(reader, entry(bob, FeedHeader("like", (), key), bundle=FOUND))
        await reader.subscribe(feed_topic(ann.account), last=0)
        await posted(writer, entry(ann))
        assert [msg.offset for msg in reader.got(F.Msg)] == [1, 2]
        found = await page(reader, feed_topic(ann.account), limit=1)
        assert (found.head, found.next, found.entries[0].body) == (2, 1, first.body)
        assert [e.offset for e in (await page(reader, feed_topic(ann.account), 1)).entries] == [2]
        shard = await page(reader, shard_topic(shard_of(feed_topic(ann.account))))
        assert decode_struct(shard.entries[0].body, Pointer) == Pointer(1, 1)
        about = await page(reader, about_topic(key))
        assert [(e.account, e.id) for e in about.entries] == [(bob.account, about.entries[0].id)]
        heads = await reader.request(
            "topics.heads", R.GetHeads((feed_topic(ann.account), about_topic(key), b"?" * 32)), list[F.SubResult]
        )
        assert [(head.head, head.code) for head in heads] == [(2, 0), (1, 0), (0, Code.NOT_FOUND)]


async def test_single_entries_and_holes() -> None:
    async with open_lab() as lab:
        ann = lab.person("ann")
        client = await lab.register(ann)
        feed = feed_topic(ann.account)
        for n in range(3):
            await posted(client, entry(ann, bundle=None if n else FOUND))
        await posted(client, entry(ann, raw=erasing(2), flags=Flag.PUBLIC | Flag.ERASE))
        found = await page(client, feed)
        assert ([e.offset for e in found.entries], found.holes, found.next) == ([1, 3, 4], ((2, 2),), 4)
        places = ((feed, 1), (feed, 2), (feed, 9), (feed, 0), (b"?" * 32, 1))
        got = await client.request("feeds.get", R.GetEntries(places), list[R.FeedEntry | None])
        assert [None if e is None else e.offset for e in got] == [1, None, None, None, None]
        await lab.relay.retain(lab.now_ms + 1)
        found = await page(client, feed)
        assert (found.entries, found.holes, found.next) == ((), ((1, 4),), 4)


async def test_private_topics_are_not_read_here() -> None:
    async with open_lab() as lab:
        ann = lab.person("ann")
        client = await lab.register(ann)
        founding = group(ann)
        await client.ok(founding, F.PubResult)
        err = await client.err(F.Req(0, "feeds.read", _raw(R.ReadFeed(founding.topic))))
        assert err.code == Code.NOT_FOUND
        got = await client.request("feeds.get", R.GetEntries(((founding.topic, 1),)), list[R.FeedEntry | None])
        assert got == [None]


def _raw(params: R.Params) -> Any:
    return msgspec.Raw(encode_struct(params))


async def test_large_entries_come_in_several_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "FEED_READ_BYTES_MAX", 500)
    async with open_lab() as lab:
        ann = lab.person("ann")
        client = await lab.register(ann)
        feed = feed_topic(ann.account)
        for n in range(3):
            await posted(client, entry(ann, body=b"x" * 300, bundle=None if n else FOUND))
        assert (await page(client, feed)).next == 1
        places = tuple((feed, n) for n in (1, 2, 3))
        got = await client.request("feeds.get", R.GetEntries(places), list[R.FeedEntry | None])
        assert [e.offset for e in got if e is not None] == [1]


async def test_bad_input_has_one_code_each() -> None:
    async with open_lab() as lab:
        ann, bob = lab.person("ann"), lab.person("bob")
        writer, other = await lab.register(ann), await lab.register(bob)
        feed = feed_topic(ann.account)
        await posted(writer, entry(ann, bundle=FOUND))
        old = ann.id(lab.now_ms - 61 * 86_400_000)
        refused = {
            "nine tags": (entry(ann, FeedHeader("post", tuple(f"t{n}" for n in range(9)))), Code.FRAME),
            "no header": (entry(ann, raw=b""), Code.FRAME),
            "back-dated by 61 days": (entry(ann, id_=old), Code.EXPIRED),
            "taking back nothing": (entry(ann, raw=erasing(9), flags=Flag.PUBLIC | Flag.ERASE), Code.NOT_FOUND),
        }
        for name, (pub, code) in refused.items():
            assert (await writer.err(pub)).code == code, name
        assert (await other.err(entry(bob, feed=feed))).code == Code.NOT_FOUND  # somebody else's feed
        taking = entry(bob, raw=erasing(1), flags=Flag.PUBLIC | Flag.ERASE, feed=feed)
        assert (await other.err(taking)).code == Code.NOT_FOUND
        assert (await page(other, feed)).head == 1
