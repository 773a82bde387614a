"""The ranker: a state that events change, and pages that are made of it. Pure: the clock is an argument.

A page is made once: the ranking behind it is kept (RANKINGS_KEPT a reader), so the pages that follow it go on where it
ended, whatever was learned meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from extensions.ranking import bounds as B
from extensions.ranking import snapshot
from extensions.ranking.catalog import Slots
from extensions.ranking.events import AnyEvent, Served
from extensions.ranking.judgements import Rules
from extensions.ranking.learner import Learner, Outcome
from extensions.ranking.ranking import RankingMaker, Scored, Settings
from extensions.ranking.readers import Reader
from protocol import limits as L
from protocol.scoring.page import Agreement, Briefing, BriefItem, Page, PageItem
from protocol.scoring.score import Slider
from protocol.scoring.weights import ACTIONS, DEFAULT, PERMILLE, Weights

__all__ = ["Cursor", "Ranker", "RankingError", "Settings", "Statistics", "served"]

Cursor = tuple[bytes, int]  # (ranking id, place of the next item)
_NOBODY: Final = Agreement(0, 0, 0, 0)


class RankingError(ValueError):
    """A page that cannot be made; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counters since the start, and sizes now."""

    events: int
    posts: int
    readers: int
    features: int
    features_expired: int
    post_ratings: int
    note_ratings: int
    refused: dict[str, int]
    drift: dict[str, float]  # action -> observed ÷ expected lately: 1 is calibrated


class Ranker:
    """Learns from events, and ranks."""

    def __init__(self, weights: Weights = DEFAULT, *, seed: int = 0, rules: Rules | None = None) -> None:
        self.weights = weights
        self.learner = Learner(seed=seed, rules=rules)
        self._kept: dict[bytes, dict[bytes, Page]] = {}
        self._maker = RankingMaker(self.learner, weights)

    # -- learning -----------------------------------------------------------------------------------------------------

    def apply(self, event: AnyEvent) -> Outcome:
        """Learn from one event. Never raises: what is refused is counted by its reason in ``statistics``."""
        return self.learner.apply(event)

    def forget(self, reader: bytes) -> None:
        """Drop everything that is known of a reader. In a log this is the event ``Forget``."""
        self._kept.pop(reader, None)
        self.learner.forget(reader)

    # -- pages --------------------------------------------------------------------------------------------------------

    def page(self, reader: bytes, now_ms: int, settings: Settings, cursor: Cursor | None = None) -> Page:
        """One page. ``cursor`` (ranking, next) of the page before goes on in that ranking, which does not change.

        A first page is an event too (``served`` gives it for the log). Raises ``RankingError``: a cursor of another
        reader, or of a ranking that is gone.
        """
        count = min(max(1, settings.count), L.RANK_PAGE_ITEMS_MAX)
        if cursor is None:
            whole = self._maker.rank(reader, now_ms, settings)
            kept = self._kept.setdefault(reader, {})
            kept[whole.ranking] = whole
            while len(kept) > B.RANKINGS_KEPT:
                del kept[next(iter(kept))]
            if len(self._kept) > B.READERS_MAX:
                del self._kept[next(iter(self._kept))]
            self.apply(served(whole))
            cursor = whole.ranking, 0
        found = self._kept.get(reader, {}).get(cursor[0])
        if found is None or found.made_ms + B.RANKING_LIFE_MS < now_ms:
            raise RankingError("this ranking is gone; ask for a new page without a cursor")
        first = min(max(0, cursor[1]), len(found.items))
        end = min(first + count, len(found.items))
        following = end if end < len(found.items) else None
        return msgspec.structs.replace(found, first=first, items=found.items[first:end], next=following)

    def score(self, reader: Reader, slots: Slots, now_ms: int, slider: Slider) -> Scored:
        """The arithmetic of some posts (by slot) for a reader, before any filter and any slate."""
        return self._maker.score(reader, slots, now_ms, slider)

    def lay_out(self, scored: Scored, places: int) -> tuple[PageItem, ...]:
        """A slate of scored posts with their explanations, without exploration."""
        return self._maker.lay_out(scored, places)

    def rank(self, reader: bytes, now_ms: int, settings: Settings) -> Page:
        """A whole ranking that is neither kept nor an event: for a shadow beside the model that serves."""
        return self._maker.rank(reader, now_ms, settings)

    def above(self, reader: bytes, cursor: Cursor) -> tuple[PageItem, ...]:
        """The items of a kept ranking above a place: what ``check_page`` wants beside a later page."""
        found = self._kept.get(reader, {}).get(cursor[0])
        return () if found is None else found.items[: cursor[1]]

    def briefing(self, reader: bytes, now_ms: int, settings: Settings | None = None) -> Briefing:
        """The page of the day: at most seven posts that both sides find informative, best first.

        Posts that bridge come first; where there are fewer than seven, what is left is ranked by the same score.
        """
        wanted = settings or Settings()
        slider = Slider(bridging=PERMILLE)
        wanted = msgspec.structs.replace(wanted, slider=slider, explore=False, chronological=False)
        whole = self._maker.rank(
            reader, now_ms, wanted, age_ms=B.BRIEFING_AGE_MS, seen_too=True, places=L.RANK_BRIEFING_ITEMS, bridged=True
        )
        items = tuple(self._brief(item) for item in whole.items)
        return Briefing(now_ms, self.weights.version, slider, items, reader)

    def _brief(self, item: PageItem) -> BriefItem:
        posts, notes = self.learner.posts, self.learner.notes
        verdict = posts.verdict(item.post)
        agreement = _NOBODY if verdict is None else verdict.agreement
        if not item.note:
            return BriefItem(item, agreement)
        found = notes.verdict(item.note)
        assert found is not None  # a note is shown by its verdict
        return BriefItem(item, agreement, found.agreement, self.learner.note_of[item.note].sources)

    def why_not(self, reader: bytes, post: bytes, now_ms: int, settings: Settings | None = None) -> str:
        """One sentence: why a post is not on the reader's pages, or where it stands."""
        return self._maker.why_not(reader, post, now_ms, settings or Settings())

    # -- what is known of a reader ------------------------------------------------------------------------------------

    def export(self, reader: bytes) -> dict[str, Any]:
        """Everything that is known of a reader, in plain values (bytes as hex)."""
        learner = self.learner
        known = learner.readers.get(reader) or Reader(0)
        by_serial = {int(learner.catalog.serial[slot]): post for post, slot in learner.catalog.slot_of.items()}
        named = {serial: by_serial[serial].hex() for serial in known.done if serial in by_serial}
        return {
            "follows": [author.hex() for author in known.follows],
            "engaged": [named[serial] for serial in known.serials if serial in named],
            "saw": list(named.values()),
            "did": {
                named[serial]: [action for number, action in enumerate(ACTIONS) if bits >> number & 1]
                for serial, bits in known.acts.items()
                if serial in named
            },
            "wants_less_of": [f"{feature:016x}" for feature in known.less],
            "judged_posts": {post.hex(): value for post, value in learner.posts.of_rater(reader)},
            "judged_notes": {note.hex(): value for note, value in learner.notes.of_rater(reader)},
            "rankings_kept": [ranking.hex() for ranking in self._kept.get(reader, {})],
        }

    # -- operating ----------------------------------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Counters and sizes."""
        learner = self.learner
        expected, observed = learner.calibration
        drift = {
            action: float(observed[number] / expected[number]) if expected[number] > 0 else 1.0
            for number, action in enumerate(ACTIONS)
        }
        sizes = len(learner.catalog), len(learner.readers), learner.heads.used, learner.heads.expired
        ratings = len(learner.posts), len(learner.notes)
        return Statistics(learner.events, *sizes, *ratings, dict(learner.refused), drift)

    def snapshot(self) -> bytes:
        """All that was learned. Kept rankings are left out: readers ask for a new page."""
        return snapshot.to_bytes(self.learner)

    @classmethod
    def restore(cls, data: bytes, weights: Weights = DEFAULT, *, rules: Rules | None = None) -> Ranker:
        """The ranker of a snapshot. Raises ``ValueError``: no snapshot of this version."""
        made = cls(weights, rules=rules)
        made.learner = snapshot.from_bytes(data, rules or Rules())
        made._maker = RankingMaker(made.learner, weights)
        return made


def served(page: Page) -> Served:
    """The event of a new ranking, for the log."""
    posts = tuple(item.post for item in page.items)
    explored = tuple((place, item.explored) for place, item in enumerate(page.items) if item.explored)
    return Served(page.reader, page.ranking, page.made_ms, posts, explored)
