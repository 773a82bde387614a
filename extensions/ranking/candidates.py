"""Which posts are worth scoring for a reader, and why each is among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeVar

import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.catalog import Catalog, Slots
from extensions.ranking.events import Post
from extensions.ranking.readers import Reader

#: Sources, best reason first: a post that comes from several is named by the first.
SOURCES: Final = ("follows", "company", "topics", "popular", "new")
_Key = TypeVar("_Key", bytes, str)
_INDEXED_MAX: Final = 4 * B.POSTS_MAX  # authors or tags with an index of their own; the oldest goes first


class Index:
    """The newest posts of each author, of each tag, and of all, as (slot, serial)."""

    def __init__(self) -> None:
        self._by_author: dict[bytes, deque[tuple[int, int]]] = {}
        self._by_tag: dict[str, deque[tuple[int, int]]] = {}
        self._newest: deque[tuple[int, int]] = deque(maxlen=B.NEWEST)

    def add(self, post: Post, slot: int, serial: int) -> None:
        """A new post, or a post with new tags."""
        entry = slot, serial
        if not self._newest or serial > self._newest[-1][1]:
            self._newest.append(entry)
            _of(self._by_author, post.author, B.PER_AUTHOR).append(entry)
        for tag in post.tags:
            of_tag = _of(self._by_tag, tag, B.PER_TAG)
            if entry not in of_tag:
                of_tag.append(entry)

    def of_authors(self, authors: Iterable[bytes]) -> list[tuple[int, int]]:
        """The newest posts of some authors."""
        return [entry for author in authors for entry in self._by_author.get(author, ())]

    def of_tags(self, tags: Iterable[str]) -> list[tuple[int, int]]:
        """The newest posts with some tags."""
        return [entry for tag in tags for entry in self._by_tag.get(tag, ())]

    def newest(self) -> list[tuple[int, int]]:
        """The newest posts of all, the newest first."""
        return list(reversed(self._newest))

    def state(self) -> list[Any]:
        """All of it, for a snapshot."""
        return [
            [[author, list(entries)] for author, entries in self._by_author.items()],
            [[tag, list(entries)] for tag, entries in self._by_tag.items()],
            list(self._newest),
        ]

    @classmethod
    def restored(cls, state: list[Any]) -> Index:
        """What ``state`` told."""
        made = cls()
        for author, entries in state[0]:
            made._by_author[author] = deque(((slot, serial) for slot, serial in entries), B.PER_AUTHOR)
        for tag, entries in state[1]:
            made._by_tag[tag] = deque(((slot, serial) for slot, serial in entries), B.PER_TAG)
        made._newest.extend((slot, serial) for slot, serial in state[2])
        return made


def _of(index: dict[_Key, deque[tuple[int, int]]], key: _Key, bound: int) -> deque[tuple[int, int]]:
    found = index.get(key)
    if found is None:
        if len(index) >= _INDEXED_MAX:
            del index[next(iter(index))]
        found = index[key] = deque(maxlen=bound)
    return found


class Pool:
    """Candidates of one ranking: slots with the reason of each."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.source_of: dict[int, int] = {}

    def add(self, source: str, entries: Iterable[tuple[int, int]], room: int) -> None:
        """At most ``room`` more, of posts that still exist."""
        serials = self._catalog.serial
        number = SOURCES.index(source)
        for slot, serial in entries:
            if room <= 0 or len(self.source_of) >= B.CANDIDATES:
                return
            if slot not in self.source_of and serials[slot] == serial:
                self.source_of[slot] = number
                room -= 1


def collect(
    catalog: Catalog, index: Index, reader: Reader, history: Slots, neighbours: Slots, popular: Slots
) -> dict[int, str]:
    """Slots of at most CANDIDATES posts and where they come from.

    ``neighbours``: posts in company with the history; ``popular``: by recent popularity; both best first.
    """
    pool = Pool(catalog)
    share = B.CANDIDATES // 4

    def named(slots: Slots) -> list[tuple[int, int]]:
        return list(zip(slots.tolist(), catalog.serial[slots].tolist(), strict=True))

    followed = sorted(index.of_authors(reader.follows), key=lambda entry: -entry[1])
    pool.add("follows", followed, 2 * share)
    pool.add("company", named(neighbours), share)
    tags = dict.fromkeys(tag for slot in history[:10].tolist() for tag in catalog.post(slot).tags)
    pool.add("topics", sorted(index.of_tags(tags), key=lambda entry: -entry[1]), share)
    pool.add("popular", named(popular), share)
    pool.add("new", index.newest(), B.CANDIDATES)
    return {slot: SOURCES[number] for slot, number in pool.source_of.items()}


def neighbours_of(others: np.ndarray[Any, np.dtype[np.int64]], history: Slots) -> Slots:
    """Posts in company with a history, those of the most recent posts first."""
    found = others[history].ravel()
    found = found[found >= 0]
    _, first = np.unique(found, return_index=True)
    nearest: Slots = found[np.sort(first)]
    return nearest
