"""Reading what is public: pages of feeds and of the logs that point to them, and single entries.

A reader is told where it stands with every answer, so that it pages by position and never by anybody's clock. Whether
an entry is really its author's is for readers to check: the relay keeps bytes.
"""

from __future__ import annotations

from protocol import requests as R
from protocol.errors import Code
from protocol.ids import PUBLIC_KINDS
from protocol.limits import FEED_READ_BYTES_MAX
from storage.base import Entry, Refused, Topics

_UNKNOWN = Refused(Code.NOT_FOUND, "no such topic, or not a public one")


def shown(entry: Entry) -> R.FeedEntry:
    """A stored entry as it is handed out."""
    return R.FeedEntry(
        entry.generation, entry.offset, entry.id, entry.account, entry.device, entry.ts, entry.flags, entry.header,
        entry.body,
    )  # fmt: skip


async def read(topics: Topics, account: bytes, params: R.ReadFeed) -> R.FeedPage | Refused:
    """``feeds.read``. Raises ``StoreAway``."""
    state = await topics.state(params.topic, account)
    if state is None or state.kind not in PUBLIC_KINDS:
        return _UNKNOWN
    page = await topics.read(params.topic, max(params.after, state.floor), params.limit, FEED_READ_BYTES_MAX)
    holes = [] if params.after >= state.floor else [(params.after + 1, state.floor)]
    entries, following = [], max(params.after, state.floor)
    for item in page.items:
        if isinstance(item, Entry):
            entries.append(shown(item))
            following = item.offset
        else:
            holes.append((item.first, item.last))
            following = item.last
    return R.FeedPage(page.generation, page.head, following, tuple(entries), tuple(holes))


async def get(topics: Topics, account: bytes, params: R.GetEntries) -> list[R.FeedEntry | None]:
    """``feeds.get``: fewer than were asked for where they are large. Raises ``StoreAway``."""
    states = await topics.states([topic for topic, _ in params.places], account)
    found: list[R.FeedEntry | None] = []
    size = 0
    for (topic, offset), state in zip(params.places, states, strict=True):
        entry = None
        if state is not None and state.kind in PUBLIC_KINDS and state.floor < offset <= state.head:
            item = (await topics.read(topic, offset - 1, 1, 0)).items[0]
            entry = item if isinstance(item, Entry) else None
        size += 0 if entry is None else len(entry.header) + len(entry.body)
        if found and size > FEED_READ_BYTES_MAX:
            break
        found.append(None if entry is None else shown(entry))
    return found
