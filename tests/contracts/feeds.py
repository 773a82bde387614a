"""What a store promises about public feeds: a pointer to each entry in the logs that are to have one, or no entry."""

from __future__ import annotations

from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason
from protocol.feeds import FeedHeader, Pointer, erasing
from protocol.frames import Create, Flag
from protocol.ids import TopicKind, about_topic, feed_topic, shard_topic
from tests.contracts.kit import Kit, Person, refused, stored

SHARD, ABOUT = shard_topic(3), about_topic(b"k" * 32)
HEADER = encode_struct(FeedHeader("like", (), b"k" * 32))


async def post(kit: Kit, by: Person, **rest: object) -> object:
    """An entry of the own feed, with pointers."""
    rest = {"header": HEADER, "pointers": (SHARD, ABOUT), **rest}
    return await kit.post(by, feed_topic(by.account), Flag.PUBLIC, None, **rest)


async def test_an_entry_brings_its_pointers(kit: Kit) -> None:
    ann, bob = await kit.people("ann", "bob")
    first = stored(await post(kit, ann, create=Create(TopicKind.FEED)))
    assert [entry.topic for entry in first.entries] == [feed_topic(ann.account), SHARD, ABOUT]
    stored(await post(kit, bob, create=Create(TopicKind.FEED), pointers=(SHARD,)))
    second = stored(await post(kit, ann))
    assert [entry.offset for entry in second.entries] == [2, 3, 2]
    for topic, kind in ((SHARD, TopicKind.SHARD), (ABOUT, TopicKind.ABOUT)):
        state = await kit.store.topics.state(topic, b"anybody" * 4)
        assert state is not None
        assert state.kind is kind
    entry = (await kit.log(SHARD))[2]
    assert (entry.account, entry.id, entry.header) == (ann.account, second.entries[0].id, HEADER)  # type: ignore[union-attr]
    assert decode_struct(entry.body, Pointer) == Pointer(1, 2)  # type: ignore[union-attr]


async def test_nobody_else_appends_to_those_logs(kit: Kit) -> None:
    ann = await kit.person("ann")
    refused(await kit.post(ann, SHARD, Flag.PUBLIC, None, create=Create(TopicKind.SHARD)), Code.FRAME)
    stored(await post(kit, ann, create=Create(TopicKind.FEED)))
    refused(await kit.post(ann, SHARD, Flag.PUBLIC, None), Code.NOT_FOUND)
    refused(await kit.post(ann, ABOUT, Flag.PUBLIC, None), Code.NOT_FOUND)


async def test_a_duplicate_or_a_refusal_leaves_no_pointer(kit: Kit) -> None:
    ann = await kit.person("ann")
    intent = kit.intent(
        ann, feed_topic(ann.account), Flag.PUBLIC, None, header=HEADER, pointers=(SHARD,), create=Create(TopicKind.FEED)
    )
    stored(await kit.store.topics.append(intent))
    assert stored(await kit.store.topics.append(intent)).duplicate
    refused(await post(kit, ann, expect=9), Code.CONFLICT, Reason.EXPECT)
    assert len(await kit.log(SHARD)) == 1


async def test_what_takes_an_entry_back_is_pointed_to(kit: Kit) -> None:
    ann = await kit.person("ann")
    feed = feed_topic(ann.account)
    stored(await post(kit, ann, create=Create(TopicKind.FEED)))
    flags = Flag.PUBLIC | Flag.ERASE
    stored(await kit.post(ann, feed, flags, None, header=erasing(1), erases=1, pointers=(SHARD,)))
    assert await kit.bodies(feed) == [(1, 1), b"sealed"]
    entry = (await kit.log(SHARD))[1]
    assert (entry.flags, entry.header) == (Flag.PUBLIC, b"")  # type: ignore[union-attr]
    assert decode_struct(entry.body, Pointer) == Pointer(1, 2, 1)  # type: ignore[union-attr]
    refused(await kit.post(ann, feed, flags, None, header=erasing(1), erases=1), Code.NOT_FOUND)
