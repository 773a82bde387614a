"""The ranker: a state that events change, and pages that are made of it. Pure: the clock is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from extensions.ranking import bounds as B
from extensions.ranking.events import AnyEvent, Deleted, Edited, Follow, Forget, Note, NoteRating, Post, Signal
from protocol.scoring.page import Page, PageItem
from protocol.scoring.score import Facts, Slider, base_terms
from protocol.scoring.slate import Candidate, select
from protocol.scoring.weights import DEFAULT, PPB, Weights

Cursor = tuple[bytes, int]  # (ranking id, place of the next item)
Outcome = Literal["learned", "ignored", "refused"]
_NONE: Final[frozenset[bytes]] = frozenset()


class Settings(msgspec.Struct, frozen=True, array_like=True):
    """What a reader's own client asks for; nothing of it is kept."""

    slider: Slider = Slider()
    count: int = 20  # items of one page
    blocked: frozenset[bytes] = _NONE  # authors
    muted: frozenset[bytes] = _NONE  # authors
    muted_tags: frozenset[str] = frozenset()
    chronological: bool = False
    explore: bool = True


class RankingError(ValueError):
    """A page that cannot be made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters since the start, and sizes now."""

    posts: int
    readers: int
    learned: int
    refused: dict[str, int]


@dataclass(slots=True)
class _Reader:
    seen: dict[bytes, int] = field(default_factory=dict)
    follows: set[bytes] = field(default_factory=set)
    rankings: dict[bytes, Page] = field(default_factory=dict)


class Ranker:
    """Learns from events, and ranks."""

    def __init__(self, weights: Weights = DEFAULT, *, seed: int = 0) -> None:
        self.weights = weights
        self._seed = seed
        self._posts: dict[bytes, Post] = {}
        self._likes: dict[bytes, int] = {}
        self._readers: dict[bytes, _Reader] = {}
        self._made = 0
        self._learned = 0
        self._refused: dict[str, int] = {}

    def apply(self, event: AnyEvent) -> Outcome:
        """Learn from one event. Never raises: what is refused is counted by its reason in ``statistics``."""
        match event:
            case Post():
                self._posts.setdefault(event.id, event)
            case Deleted():
                self._posts.pop(event.post, None)
            case Signal():
                if event.post not in self._posts:
                    return self._refuse("unknown post")
                self._reader(event.reader).seen[event.post] = event.at_ms
                self._likes[event.post] = self._likes.get(event.post, 0) + (event.kind in ("like", "share", "reply"))
            case Follow():
                follows = self._reader(event.reader).follows
                (follows.add if event.on else follows.discard)(event.author)
            case Forget():
                self.forget(event.reader)
            case Edited() | Note() | NoteRating():
                return "ignored"
        self._learned += 1
        return "learned"

    def _refuse(self, why: str) -> Outcome:
        self._refused[why] = self._refused.get(why, 0) + 1
        return "refused"

    def _reader(self, reader: bytes) -> _Reader:
        return self._readers.setdefault(reader, _Reader())

    def page(self, reader: bytes, now_ms: int, settings: Settings, cursor: Cursor | None = None) -> Page:
        """One page. ``cursor`` (ranking, next) of the page before goes on in that ranking, which does not change.

        Raises ``RankingError``: a cursor of another reader, or of a ranking that is gone.
        """
        kept = self._reader(reader).rankings
        if cursor is None:
            whole = self._rank(reader, now_ms, settings)
            kept[whole.ranking] = whole
            while len(kept) > B.RANKINGS_KEPT:
                del kept[next(iter(kept))]
            cursor = (whole.ranking, 0)
        whole_or_none = kept.get(cursor[0])
        if whole_or_none is None or whole_or_none.made_ms + B.RANKING_LIFE_MS < now_ms:
            raise RankingError("this ranking is gone; ask for a new page without a cursor")
        first = max(0, cursor[1])
        end = first + settings.count
        items = whole_or_none.items[first:end]
        following = end if end < len(whole_or_none.items) else None
        return msgspec.structs.replace(whole_or_none, first=first, items=items, next=following)

    def _rank(self, reader: bytes, now_ms: int, settings: Settings) -> Page:
        known = self._reader(reader)
        hidden = settings.blocked | settings.muted
        posts = [
            post
            for post in self._posts.values()
            if post.author not in hidden
            and post.author != reader
            and post.id not in known.seen
            and not settings.muted_tags.intersection(post.tags)
            and post.at_ms > now_ms - B.POST_AGE_MS
        ]
        facts = [self._facts(post) for post in posts]
        bases = [base_terms(fact, self.weights, settings.slider) for fact in facts]
        candidates = [
            Candidate(post.id, post.author, frozenset(post.tags), post.tags[0] if post.tags else "", sum(base))
            for post, base in zip(posts, bases, strict=True)
        ]
        items = []
        for placed in select(candidates, self.weights, B.RANKING_ITEMS):
            post, fact = posts[placed.index], facts[placed.index]
            terms = (*bases[placed.index], placed.author_points, placed.diversity_points)
            items.append(PageItem(post.id, post.author, post.tags, "popular", fact, terms, sum(terms)))
        self._made += 1
        ranking = hashlib.sha256(reader + self._made.to_bytes(8, "big") + now_ms.to_bytes(8, "big")).digest()[:16]
        return Page(ranking, 0, now_ms, self.weights.version, settings.slider, tuple(items), None, reader)

    def _facts(self, post: Post) -> Facts:
        like = min(PPB, (1 + self._likes.get(post.id, 0)) * PPB // 100)
        return Facts((0, 0, like, 0, 0, 0, 0))

    def briefing(self, reader: bytes, now_ms: int) -> Page:
        """The page of the day: at most seven posts, weighted by bridging."""
        return self.page(reader, now_ms, Settings(Slider(bridging=1000), count=7))

    def why_not(self, reader: bytes, post: bytes, now_ms: int, settings: Settings) -> str:
        """One sentence: why a post is not on the reader's pages."""
        if post not in self._posts:
            return "this post is not known here, or it was deleted"
        if post in self._reader(reader).seen:
            return "you have seen it"
        return "other posts were expected to be of more use to you"

    def forget(self, reader: bytes) -> None:
        """Drop everything that is known of a reader."""
        self._readers.pop(reader, None)

    def export(self, reader: bytes) -> dict[str, object]:
        """Everything that is known of a reader, in plain values."""
        known = self._readers.get(reader, _Reader())
        return {"seen": [post.hex() for post in known.seen], "follows": sorted(a.hex() for a in known.follows)}

    def statistics(self) -> Statistics:
        """Counters and sizes."""
        return Statistics(len(self._posts), len(self._readers), self._learned, dict(self._refused))
