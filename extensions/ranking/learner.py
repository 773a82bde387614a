"""What events change: the one place where the ranker learns, and where it refuses to.

Everything that a stranger could push is bounded here: each reader counts once for each post and action, at most
SIGNALS_PER_HOUR; for others it counts by its credibility; friends' engagements with each other count a quarter; hides
and reports beyond NEGATIVES_PER_DAY change the reader's own pages only; a signal that names a page must be of that
reader and that page. Whatever is refused is counted by its reason and changes nothing.
"""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec
import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking import features
from extensions.ranking.affinity import Affinity
from extensions.ranking.candidates import Index
from extensions.ranking.catalog import OWN, Catalog
from extensions.ranking.events import (
    AnyEvent,
    Deleted,
    Edited,
    Follow,
    Forget,
    Note,
    NoteRating,
    Post,
    Served,
    Signal,
    Tick,
)
from extensions.ranking.heads import HEADS, Floats, Heads
from extensions.ranking.judgements import Judgements, Rules
from extensions.ranking.lifts import Lifts
from extensions.ranking.readers import ENGAGED, VIEWED, Reader, Readers
from protocol import limits as L
from protocol.scoring.hashing import name
from protocol.scoring.local import AFFINITY_MAX, AFFINITY_SCALE, WISH_TAGS
from protocol.scoring.weights import ACTIONS

Outcome = Literal["learned", "ignored", "refused"]
_HEAD: Final = {action: number for number, action in enumerate(ACTIONS)}
_HEAD_OF: Final = {
    "view": "view", "dwell": "dwell", "finish": "dwell", "open": "dwell", "like": "like", "reply": "reply",
    "share": "share", "hide": "hide", "less": "hide", "report": "report",
}  # fmt: skip
_NEGATIVE: Final = frozenset(("hide", "less", "report"))
_JUDGES: Final = {"like": 1.0, "share": 1.0, "hide": 0.0, "less": 0.0, "report": 0.0}
_PASSED: Final = 0.25  # below indifference: who was shown a post and did nothing says a little
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000


class Refused(Exception):
    """An event that changes nothing; the text is the reason."""


class Learner:
    """All that is learned, and how."""

    def __init__(self, *, seed: int = 0, rules: Rules | None = None) -> None:
        rules = rules or Rules()
        self.seed = seed
        self.clock_ms = 0  # the latest time of the log
        self.events = 0
        self.catalog = Catalog()
        self.index = Index()
        self.readers = Readers()
        self.affinity = Affinity(seed)
        self.heads = Heads()
        self.posts = Judgements(rules, seed)
        self.lifts = Lifts()
        self.notes = Judgements(rules, seed + 1)
        self.note_of: dict[bytes, Note] = {}
        self.notes_on: dict[bytes, list[bytes]] = {}
        self.served: dict[bytes, dict[bytes, tuple[int, tuple[bytes, ...]]]] = {}
        self.views: dict[int, int] = {}  # looks at a post, by serial, up to EXPLORE_VIEWS
        self.rates: dict[bytes, list[int]] = {}  # reader -> hour, signals in it, day, negatives in it
        self.refused: dict[str, int] = {}
        self.calibration = np.zeros((2, HEADS))  # expected and observed, fading: drift shows here

    def apply(self, event: AnyEvent) -> Outcome:
        """Learn from one event. Never raises; what is refused is counted by its reason."""
        self.events += 1
        try:
            learned = self._apply(event)
        except Refused as reason:
            why = str(reason)
            self.refused[why] = self.refused.get(why, 0) + 1
            return "refused"
        return "learned" if learned else "ignored"

    def _apply(self, event: AnyEvent) -> bool:
        at_ms = event.at_ms
        if not 0 <= at_ms <= L.INT_MAX:
            raise Refused("time out of range")
        if not isinstance(event, Post) and self.clock_ms < at_ms <= self.clock_ms + B.CLOCK_AHEAD_MS:
            self.clock_ms = at_ms
        match event:
            case Post():
                return self._post(event)
            case Edited():
                return self._edit(event)
            case Deleted():
                return self._delete(event.post)
            case Signal():
                return self._signal(event)
            case Follow():
                return self._follow(event)
            case Note():
                return self._note(event)
            case NoteRating():
                return self._rate(event)
            case Served():
                return self._serve(event)
            case Forget():
                return self.forget(event.reader)
            case Tick():
                self.clock_ms = max(self.clock_ms, at_ms)
                if self.posts.changed:
                    self.posts.refit()
                    self.lifts.fitted(self.posts, self.catalog)
                self.notes.refit()
                return True

    # -- posts --------------------------------------------------------------------------------------------------------

    def _post(self, event: Post) -> bool:
        if not 0 < len(event.id) <= B.ID_BYTES_MAX or len(event.author) > B.ID_BYTES_MAX:
            raise Refused("id of a wrong size")
        if event.id in self.catalog.slot_of:
            return False
        if self.clock_ms and event.at_ms > self.clock_ms + B.CLOCK_AHEAD_MS:
            raise Refused("post from the future")
        self.clock_ms = max(self.clock_ms, event.at_ms)
        post = _bounded(event)
        if len(self.catalog) >= B.POSTS_MAX:
            self._drop(self.catalog.oldest(max(1, len(self.catalog) // B.EXPIRE_SHARE)).tolist())
        slot = self.catalog.add(post, self.events)
        serial = int(self.catalog.serial[slot])
        self.affinity.begin(slot, serial)
        self.lifts.begin(slot, post.author)
        self.index.add(post, slot, serial)
        return True

    def _edit(self, event: Edited) -> bool:
        slot = self._slot(event.post)
        old = self.catalog.post(slot)
        changes = {"tags": event.tags, "media": event.media, "words": event.words}
        post = _bounded(msgspec.structs.replace(old, **changes))
        self.catalog.change(slot, post)
        self.index.add(post, slot, int(self.catalog.serial[slot]))
        self.posts.drop_subject(event.post)  # judgements were about the old text
        self.lifts.begin(slot, post.author)
        for note in self.notes_on.get(event.post, ()):
            self.notes.drop_subject(note)
        return True

    def _delete(self, post: bytes) -> bool:
        self._drop([self._slot(post)])
        return True

    def _drop(self, slots: list[int]) -> None:
        self.affinity.drop(np.array(slots, dtype=np.int64))
        for slot in slots:
            post = self.catalog.post(slot)
            self.views.pop(int(self.catalog.serial[slot]), None)
            self.catalog.remove(slot)
            self.posts.drop_subject(post.id)
            for note in self.notes_on.pop(post.id, ()):
                self.notes.drop_subject(note)
                self.note_of.pop(note, None)

    def _slot(self, post: bytes) -> int:
        slot = self.catalog.slot_of.get(post)
        if slot is None:
            raise Refused("unknown post")
        return slot

    # -- signals ------------------------------------------------------------------------------------------------------

    def _signal(self, event: Signal) -> bool:
        if not math.isfinite(event.value) or event.value < 0:
            raise Refused("value is no number")
        if len(event.reader) > B.ID_BYTES_MAX:
            raise Refused("id of a wrong size")
        slot = self._slot(event.post)
        post = self.catalog.post(slot)
        if post.author == event.reader:
            return False  # what people think of their own posts tells nothing
        if event.context:
            self._check_context(event)
        negative = event.kind in _NEGATIVE
        counts = self._within_rate(event.reader, negative)
        reader = self.readers.want(event.reader, self.events)
        serial = int(self.catalog.serial[slot])
        head = _HEAD[_HEAD_OF[event.kind]]
        acts = reader.acts.get(serial, 0)
        first_look = reader.mark(serial, VIEWED)
        bit = 1 << head
        if acts & bit and not (event.kind in ("dwell", "finish", "open") and not reader.done[serial] & ENGAGED):
            return False  # once for each post and action
        looked = acts & 1 or event.kind == "view" or bool(event.context)
        reader.acts[serial] = acts | bit | bool(looked)
        self.catalog.touched[slot] = self.events
        strength = _strength(event, post.words)
        if first_look:
            self.views[serial] = min(B.EXPLORE_VIEWS, self.views.get(serial, 0) + 1)
            self._passed_over(event, reader)
        weight = self.credibility(event.reader, reader, post.author) if counts else 0.0
        if counts and looked:  # who only tells of what it liked teaches nothing about what it would not have liked
            self._teach_heads(reader, slot, head, strength, weight, first=not acts & 1, fresh=not acts & bit)
        if event.kind in WISH_TAGS:  # what a hide tells of other posts, the heads learn
            self._wants_less(reader, slot, WISH_TAGS[event.kind])
        if not negative and event.kind != "view" and strength >= B.ENGAGED_DWELL and reader.mark(serial, ENGAGED):
            history = reader.history(self.catalog)
            self.affinity.learn(reader, history, self.affinity.others(self.catalog, slot, history), weight)
            reader.engage(slot, serial)
            author = int(self.catalog.author[slot])
            if author in reader.authors or len(reader.authors) < B.AUTHORS_MAX:
                reader.authors[author] = reader.authors.get(author, 0) + 1
        if counts and event.kind in _JUDGES:
            self.posts.rate(event.post, event.reader, _JUDGES[event.kind])
        elif looked and event.context and not self.posts.rated(event.post, event.reader):
            self.posts.rate(event.post, event.reader, _PASSED)  # shown by us, looked at, and left
        return True

    def _check_context(self, event: Signal) -> None:
        served = self.served.get(event.reader, {}).get(event.context)
        if served is None:
            raise Refused("unknown context")  # another reader's, or too old
        if event.post not in served[1]:
            raise Refused("never served there")

    def _within_rate(self, account: bytes, negative: bool) -> bool:
        """Whether a signal counts for others. Raises ``Refused`` when this reader has said too much this hour."""
        hour, day = self.clock_ms // _HOUR_MS, self.clock_ms // _DAY_MS
        rate = self.rates.setdefault(account, [hour, 0, day, 0])
        if rate[0] != hour:
            rate[0], rate[1] = hour, 0
        if rate[2] != day:
            rate[2], rate[3] = day, 0
        rate[1] += 1
        rate[3] += negative
        if rate[1] > B.SIGNALS_PER_HOUR:
            raise Refused("too many signals in this hour")
        if len(self.rates) > B.READERS_MAX:
            del self.rates[next(iter(self.rates))]
        return not negative or rate[3] <= B.NEGATIVES_PER_DAY

    def credibility(self, account: bytes, reader: Reader, author: bytes) -> float:
        """How much a reader's act counts for what others are shown, 0 to 1."""
        share = max(B.CREDIBILITY_MIN, min(1.0, (reader.engaged + 1) / B.CREDIBLE_AT))
        writer = self.readers.get(author)
        if writer is not None and name("author", account) in writer.authors:
            share *= B.MUTUAL_SHARE
        return share

    def _passed_over(self, event: Signal, reader: Reader) -> None:
        """What stood above the post that was looked at, and was not looked at itself."""
        served = self.served.get(event.reader, {}).get(event.context)
        if served is None or not 0 <= event.position < len(served[1]):
            return
        for above in served[1][max(0, event.position - 3) : event.position]:
            slot = self.catalog.slot_of.get(above)
            if slot is not None and int(self.catalog.serial[slot]) not in reader.done:
                push = np.full(HEADS, np.nan)
                push[0] = 0.0
                self._lesson(reader, slot, push, np.zeros(HEADS), 1.0)

    def _teach_heads(
        self, reader: Reader, slot: int, head: int, strength: float, weight: float, *, first: bool, fresh: bool
    ) -> None:
        push = np.full(HEADS, np.nan)
        done = np.zeros(HEADS)
        if first:
            push[:] = 0.0
            push[0] = 1.0
        elif fresh:
            done[head] = 1.0  # the look had said that this did not happen
        if head and fresh:
            push[head] = strength
        if not np.isnan(push).all():
            self._lesson(reader, slot, push, done, weight)

    def _lesson(self, reader: Reader, slot: int, push: Floats, done: Floats, weight: float) -> None:
        slots = np.array([slot])
        history = reader.history(self.catalog)
        affinity = self.normal(self.affinity.odds(reader, history, slots))
        followed = self.catalog.post(slot).author in reader.follows
        keys = features.of_one(self.catalog, reader.number, slot, followed, self.clock_ms)
        chance = self.heads.learn(float(affinity[0]), keys, push, done, weight)
        told = ~np.isnan(push)
        self.calibration *= 0.999
        self.calibration[0, told] += (chance * (1 - done))[told]
        self.calibration[1, told] += push[told]

    def normal(self, odds: Floats) -> Floats:
        """Affinities in the scale that the heads learn with: clipped, so that nothing infinite ever gets there."""
        scaled: Floats = np.fmin(np.fmax(odds / AFFINITY_SCALE, -AFFINITY_MAX), AFFINITY_MAX)
        return scaled

    def _wants_less(self, reader: Reader, slot: int, tags: int) -> None:
        row = self.catalog.features[slot]
        for feature in (int(row[0]), *(int(one) for one in row[OWN : OWN + tags] if one)):
            reader.less.pop(feature, None)
            reader.less[feature] = None
            if len(reader.less) > B.LESS_MAX:
                del reader.less[next(iter(reader.less))]

    # -- the rest -----------------------------------------------------------------------------------------------------

    def _follow(self, event: Follow) -> bool:
        if len(event.author) > B.ID_BYTES_MAX or len(event.reader) > B.ID_BYTES_MAX:
            raise Refused("id of a wrong size")
        follows = self.readers.want(event.reader, self.events).follows
        if not event.on:
            return follows.pop(event.author, 0) is None
        if len(follows) >= B.FOLLOWS_MAX:
            raise Refused("too many follows")
        follows[event.author] = None
        return True

    def _note(self, event: Note) -> bool:
        self._slot(event.post)
        if not 0 < len(event.id) <= B.ID_BYTES_MAX or event.id in self.note_of:
            return False
        if len(self.note_of) >= B.NOTES_MAX:
            oldest = next(iter(self.note_of))
            self.notes_on[self.note_of.pop(oldest).post].remove(oldest)
            self.notes.drop_subject(oldest)
        sources = tuple(one for one in event.sources if len(one) <= L.RANK_SOURCE_CHARS_MAX)[: L.RANK_SOURCES_MAX]
        self.note_of[event.id] = msgspec.structs.replace(event, sources=sources)
        self.notes_on.setdefault(event.post, []).append(event.id)
        return True

    def _rate(self, event: NoteRating) -> bool:
        note = self.note_of.get(event.note)
        if note is None:
            raise Refused("unknown note")
        if event.helpful not in (0.0, 0.5, 1.0):
            raise Refused("value is no number")
        if event.rater == note.author:
            return False
        if not self.notes.rate(event.note, event.rater, event.helpful):
            raise Refused("too many ratings")
        return True

    def _serve(self, event: Served) -> bool:
        kept = self.served.setdefault(event.reader, {})
        kept[event.ranking] = (event.at_ms, event.posts[: B.RANKING_ITEMS])
        while len(kept) > B.RANKINGS_KEPT:
            del kept[next(iter(kept))]
        if len(self.served) > B.READERS_MAX:
            del self.served[next(iter(self.served))]
        return True

    def note_shown(self, post: bytes) -> bytes:
        """The context note that is shown with a post; empty: none is."""
        return next((note for note in self.notes_on.get(post, ()) if self.notes.shown(note)), b"")

    def forget(self, account: bytes) -> bool:
        """Drop everything that is known of a reader."""
        reader = self.readers.get(account)
        if reader is not None:
            authors = [*reader.authors, *(name("author", author) for author in reader.follows)]
            tags = {int(one) for slot in reader.slots for one in self.catalog.features[slot][OWN:] if one}
            self.heads.forget(features.personal_keys(reader.number, authors, sorted(tags | set(reader.less))))
            self.readers.drop(account)
        self.served.pop(account, None)
        self.rates.pop(account, None)
        self.posts.drop_rater(account)
        self.notes.drop_rater(account)
        return reader is not None


def _bounded(post: Post) -> Post:
    """A post whose parts are within their bounds: what is too much is left out."""
    tags = tuple(dict.fromkeys(tag for tag in post.tags[: 4 * L.RANK_TAGS_MAX] if 0 < len(tag) <= L.RANK_TAG_CHARS_MAX))
    media, words = min(max(post.media, 0), 1 << 10), min(max(post.words, 0), B.WORDS_MAX)
    return msgspec.structs.replace(
        post, tags=tags[: L.RANK_TAGS_MAX], media=media, words=words, kind=post.kind[: L.NAME_BYTES_MAX]
    )


def _strength(event: Signal, words: int) -> float:
    """How much of the action happened, 0 to 1; a long look is measured by the length of the post."""
    if event.kind == "dwell":
        return min(1.0, event.value / max(B.DWELL_S_MIN, words / B.DWELL_WORDS_PER_S))
    if event.kind == "open":
        return B.ENGAGED_DWELL
    return min(1.0, event.value) if event.kind == "like" else 1.0
