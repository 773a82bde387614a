"""Public entries: what the relay reads of them, and that nothing of a signed one can be moved or changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import feeds
from protocol.codec import encode_struct
from protocol.errors import RemoteProtocolError
from protocol.feeds import FeedError, FeedHeader, SignedEntry
from protocol.frames import Flag
from protocol.identity import SigningKey
from protocol.ids import about_topic, feed_topic, shard_of, shard_topic
from protocol.limits import FEED_SHARDS, FEED_TAGS_MAX

KEY = SigningKey(bytes(32))
TOPIC, ID, ABOUT = feed_topic(b"a" * 32), b"i" * 16, b"k" * 32
HEADER = encode_struct(FeedHeader("post", ("news",)))
BODY = feeds.seal_entry(KEY, TOPIC, ID, HEADER, b"content")


def test_what_was_signed_opens() -> None:
    assert feeds.open_entry(TOPIC, KEY.public, ID, HEADER, BODY) == b"content"
    assert len(feeds.entry_hash(BODY)) == 32


@pytest.mark.parametrize(
    "moved",
    [
        (feed_topic(b"b" * 32), KEY.public, ID, HEADER, BODY),
        (TOPIC, SigningKey(b"o" * 32).public, ID, HEADER, BODY),
        (TOPIC, KEY.public, b"j" * 16, HEADER, BODY),
        (TOPIC, KEY.public, ID, encode_struct(FeedHeader("post", ("lies",))), BODY),
        (TOPIC, KEY.public, ID, HEADER, encode_struct(SignedEntry(b"other", BODY[-64:]))),
        (TOPIC, KEY.public, ID, HEADER, b"\xc1"),
    ],
)
def test_nothing_is_moved_or_changed(moved: tuple[bytes, bytes, bytes, bytes, bytes]) -> None:
    with pytest.raises(FeedError):
        feeds.open_entry(*moved)


@pytest.mark.parametrize(
    "header",
    [
        FeedHeader("post", ("t",) * (FEED_TAGS_MAX + 1)),
        FeedHeader("post", tuple(str(n) for n in range(10_000))),
        FeedHeader("Post"),
        FeedHeader("p" * 17),
        FeedHeader("post", ("two words",)),
        FeedHeader("post", ("",)),
        FeedHeader("like", (), b"short"),
    ],
)
def test_headers_are_bounded(header: FeedHeader) -> None:
    with pytest.raises(RemoteProtocolError):
        feeds.pointers(TOPIC, Flag.PUBLIC, encode_struct(header))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_header_or_are_refused(header: bytes) -> None:
    try:
        found = feeds.read_header(header)
    except RemoteProtocolError:
        return
    assert len(found.tags) <= FEED_TAGS_MAX


def test_who_gets_a_pointer() -> None:
    shard = shard_topic(shard_of(TOPIC))
    assert shard_of(TOPIC) < FEED_SHARDS
    assert feeds.pointers(TOPIC, Flag.PUBLIC, HEADER) == (shard,)
    like = encode_struct(FeedHeader("like", (), ABOUT))
    assert feeds.pointers(TOPIC, Flag.PUBLIC, like) == (shard, about_topic(ABOUT))
    assert feeds.pointers(TOPIC, Flag.PUBLIC | Flag.ERASE, feeds.erasing(7)) == (shard,)
    assert int.from_bytes(feeds.erasing(7), "big") == 7
