"""The posts that are known: each in a numbered slot, so that everything learned of posts is an array.

A slot is used again after its post is gone; serial numbers never are, so whoever remembers a slot remembers its
serial too, and an old memory never speaks of a new post.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from extensions.ranking.events import Post, from_bytes, to_bytes
from protocol.scoring.hashing import name
from protocol.scoring.local import TAG_FEATURES, shape

Slots = NDArray[np.int64]
OWN: Final = 4  # author, kind, shape, the post itself
COLUMNS: Final = OWN + TAG_FEATURES
_FIRST: Final = 1024


class Catalog:
    """Posts by id and by slot."""

    def __init__(self) -> None:
        self.slot_of: dict[bytes, int] = {}
        self.posts: list[Post | None] = []
        self.free: list[int] = []
        self.next_serial = 1
        self.serial = np.zeros(_FIRST, dtype=np.int64)
        self.at_ms = np.zeros(_FIRST, dtype=np.int64)
        self.touched = np.zeros(_FIRST, dtype=np.int64)  # counter of the last event about it
        self.author = np.zeros(_FIRST, dtype=np.uint64)
        self.features = np.zeros((_FIRST, COLUMNS), dtype=np.uint64)
        self.live = np.zeros(_FIRST, dtype=np.int64)  # the slots in use, in no order, in the first `len(self)`
        self._place = np.zeros(_FIRST, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.slot_of)

    def slots(self) -> Slots:
        """The slots in use."""
        return self.live[: len(self.slot_of)]

    def add(self, post: Post, clock: int) -> int:
        """The slot of a new post. The caller has made room and knows that it is new."""
        if self.free:
            slot = self.free.pop()
        else:
            slot = len(self.posts)
            self.posts.append(None)
            if slot == len(self.serial):
                self._grow()
        self.posts[slot] = post
        self._place[slot] = len(self.slot_of)
        self.live[len(self.slot_of)] = slot
        self.slot_of[post.id] = slot
        self.serial[slot] = self.next_serial
        self.next_serial += 1
        self.at_ms[slot] = post.at_ms
        self.touched[slot] = clock
        self._describe(slot, post)
        return slot

    def _grow(self) -> None:
        for field in ("serial", "at_ms", "touched", "author", "features", "live", "_place"):
            old: NDArray[Any] = getattr(self, field)
            setattr(self, field, np.concatenate((old, np.zeros_like(old))))

    def _describe(self, slot: int, post: Post) -> None:
        author = name("author", post.author)
        self.author[slot] = author
        row = [author, name("kind", post.kind.encode()), shape_of(post), name("post", post.id)]
        row += [name("tag", tag.encode()) for tag in post.tags[:TAG_FEATURES]]
        self.features[slot] = 0
        self.features[slot, : len(row)] = row

    def change(self, slot: int, post: Post) -> None:
        """A new version of the post in a slot."""
        self.posts[slot] = post
        self._describe(slot, post)

    def remove(self, slot: int) -> None:
        """A post is gone; its slot is free."""
        post = self.posts[slot]
        assert post is not None
        del self.slot_of[post.id]
        last = self.live[len(self.slot_of)]
        place = self._place[slot]
        self.live[place] = last
        self._place[last] = place
        self.posts[slot] = None
        self.serial[slot] = 0
        self.free.append(slot)

    def oldest(self, count: int) -> Slots:
        """The slots that nobody did anything with for the longest time."""
        slots = self.slots()
        order = np.argsort(self.touched[slots], kind="stable")
        return slots[order[:count]].copy()

    def post(self, slot: int) -> Post:
        """The post in a slot in use."""
        post = self.posts[slot]
        assert post is not None
        return post

    def state(self) -> dict[str, Any]:
        """All of it, for a snapshot."""
        size = len(self.posts)
        arrays = {f: getattr(self, f)[:size].copy() for f in ("serial", "at_ms", "touched", "live", "_place")}
        rows = [None if post is None else to_bytes(post) for post in self.posts]
        return {"posts": rows, "free": list(self.free), "next_serial": self.next_serial, **arrays}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Catalog:
        """What ``state`` told."""
        catalog = cls()
        size = len(state["posts"])
        while len(catalog.serial) < size:
            catalog._grow()
        for slot, row in enumerate(state["posts"]):
            post = None if row is None else from_bytes(row)
            assert post is None or isinstance(post, Post)
            catalog.posts.append(post)
            if post is not None:
                catalog.slot_of[post.id] = slot
                catalog.author[slot] = name("author", post.author)
                catalog._describe(slot, post)
        catalog.free = list(state["free"])
        catalog.next_serial = state["next_serial"]
        for field in ("serial", "at_ms", "touched", "live", "_place"):
            getattr(catalog, field)[:size] = state[field]
        return catalog


def shape_of(post: Post) -> int:
    """The feature of a post's size: with media or without, and its length in powers of two."""
    return shape(post.media, post.words)
