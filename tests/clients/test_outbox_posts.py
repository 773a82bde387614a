"""Entries of our own feed on their way out: no group, no echo, and a feed that another device has begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.feeds import FeedError
from tests.support.feeds import open_town, people, said


async def test_entries_of_a_feed_need_no_group(tmp_path: Path) -> None:
    async with open_town(tmp_path) as town:
        (ann,) = await people(town, "ann")
        first = await said(ann, "one")
        ann.feed._founded = False  # another device has begun the feed: the relay says so, and it goes on
        second = await said(ann, "two")
        assert (first.offset, second.offset) == (1, 2)
        entry = await ann.feed.stored(await ann.feed.delete(first))
        assert entry.offset == 3
        with pytest.raises(FeedError, match="404"):
            await ann.feed.stored(await ann.feed.delete(first))
        assert not ann.engine.shelf.outgoing
