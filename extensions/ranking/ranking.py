"""One ranking for one reader: filter, collect, score, explore, lay out. Nothing is learned here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from extensions.ranking import bounds as B
from extensions.ranking import features
from extensions.ranking.candidates import collect, neighbours_of
from extensions.ranking.catalog import COLUMNS, OWN, Slots
from extensions.ranking.heads import Ints, probabilities
from extensions.ranking.learner import Learner
from extensions.ranking.readers import Reader
from protocol.limits import ID_BYTES
from protocol.scoring.hashing import mix, name
from protocol.scoring.local import FRESH_HALF_MS, LESS_HITS_MAX, LESS_MICRO, SLATE_POOL
from protocol.scoring.page import Page, PageItem
from protocol.scoring.score import IN_FULL, TERMS, Facts, Slider, engagement_share
from protocol.scoring.slate import Candidate, Placed, select
from protocol.scoring.weights import ACTIONS, PERMILLE, Weights

_NONE: Final[frozenset[bytes]] = frozenset()
_HIDE: Final = ACTIONS.index("hide")
_REPORT: Final = ACTIONS.index(IN_FULL)
_LESS_COLUMNS: Final = (0, *range(OWN, COLUMNS))  # author and tags
_SIEVE: Final = np.uint64(4096)
_MILLION: Final = 1_000_000


class Settings(msgspec.Struct, frozen=True, array_like=True):
    """What a reader's own client asks for; nothing of it is kept."""

    slider: Slider = Slider()
    count: int = 20  # items of one page
    blocked: frozenset[bytes] = _NONE  # authors
    muted: frozenset[bytes] = _NONE  # authors
    muted_tags: frozenset[str] = frozenset()
    chronological: bool = False
    explore: bool = True


@dataclass(frozen=True, slots=True)
class Scored:
    """Posts with their arithmetic, as arrays; row i belongs to slot i."""

    slots: Slots
    probabilities: Ints  # (posts, actions), billionths
    lifts: Ints
    fresh: Ints
    terms: Ints  # (posts, 9): ``base_terms``
    base: Ints


def base_of(probs: Ints, lifts: Ints, fresh: Ints, weights: Weights, slider: Slider) -> Ints:
    """``protocol.scoring.score.base_terms`` for many posts: shape (posts, 9)."""
    share = engagement_share(slider, weights)
    points: Ints = np.array(weights.actions, dtype=np.int64) * probs // PERMILLE
    good = np.where(points > 0, points, 0).sum(axis=1)
    actions = points * share // PERMILLE
    actions[:, _REPORT] = points[:, _REPORT]
    lift = lifts * weights.bridging_max // PERMILLE * slider.bridging // PERMILLE
    bridging = good * lift // PERMILLE
    freshness = np.int64(weights.fresh_points * slider.fresh // PERMILLE) * fresh // PERMILLE
    terms: Ints = np.concatenate((actions, bridging[:, None], freshness[:, None]), axis=1)
    return terms


class RankingMaker:
    """Makes rankings of what a learner knows."""

    def __init__(self, learner: Learner, weights: Weights) -> None:
        self._learner = learner
        self._weights = weights

    # -- which --------------------------------------------------------------------------------------------------------

    def candidates(self, reader: Reader, history: Slots) -> dict[int, str]:
        """Slots and their sources, before any filter."""
        learner = self._learner
        live = learner.catalog.slots()
        hot = learner.affinity.counts[1, live]
        best = live[np.argsort(-hot, kind="stable")[: B.CANDIDATES // 4]]
        neighbours = neighbours_of(learner.affinity.company.others, history)
        return collect(learner.catalog, learner.index, reader, history, neighbours, best)

    def hidden(self, account: bytes, reader: Reader, slot: int, settings: Settings) -> str:
        """Why a post must not be shown; empty: it may."""
        post = self._learner.catalog.post(slot)
        if post.author == account:
            return "it is your own"
        if post.author in settings.blocked:
            return "you blocked its author"
        if post.author in settings.muted:
            return "you muted its author"
        if settings.muted_tags.intersection(post.tags):
            return "you muted one of its tags"
        if int(self._learner.catalog.serial[slot]) in reader.done:
            return "you have seen it"
        return ""

    # -- how much -----------------------------------------------------------------------------------------------------

    def score(self, reader: Reader, slots: Slots, now_ms: int, slider: Slider) -> Scored:
        """The arithmetic of some posts for a reader."""
        learner = self._learner
        catalog = learner.catalog
        history = reader.history(catalog)
        affinity = learner.normal(learner.affinity.odds(reader, history, slots))
        followed = self._followed(reader, slots)
        keys = features.of(catalog, reader.number, slots, followed, now_ms)
        micro = learner.heads.log_odds(affinity, keys)
        if reader.less:
            self._less(reader, slots, micro)
        probs = probabilities(micro)
        lifts = learner.lifts.of(slots)
        age = np.maximum(0, now_ms - catalog.at_ms[slots])
        fresh = np.rint(PERMILLE * np.exp2(-age / FRESH_HALF_MS)).astype(np.int64)
        terms = base_of(probs, lifts, fresh, self._weights, slider)
        return Scored(slots, probs, lifts, fresh, terms, terms.sum(axis=1))

    def _followed(self, reader: Reader, slots: Slots) -> NDArray[np.bool_]:
        if not reader.follows:
            return np.zeros(len(slots), dtype=np.bool_)
        posts = self._learner.catalog.post
        return np.array([posts(slot).author in reader.follows for slot in slots.tolist()])

    def _less(self, reader: Reader, slots: Slots, micro: Ints) -> None:
        """What the reader wants less of: a hide is expected, and good actions are not."""
        columns = self._learner.catalog.features[slots][:, _LESS_COLUMNS]
        wishes = np.fromiter(reader.less, dtype=np.uint64)
        maybe = np.zeros(int(_SIEVE), dtype=np.bool_)
        maybe[(wishes % _SIEVE).astype(np.int64)] = True
        found = maybe[(columns % _SIEVE).astype(np.int64)]  # a sieve: few posts are left to be compared exactly
        found[found] = np.isin(columns[found], wishes)
        hits = found.sum(axis=1)
        shift = (np.minimum(hits, LESS_HITS_MAX) * LESS_MICRO).astype(np.int64)
        micro[:, :_HIDE] -= shift[:, None] // 3
        micro[:, _HIDE] += shift

    # -- in which order -----------------------------------------------------------------------------------------------

    def rank(
        self,
        account: bytes,
        now_ms: int,
        settings: Settings,
        *,
        age_ms: int = B.POST_AGE_MS,
        seen_too: bool = False,
        places: int = B.RANKING_ITEMS,
        bridged: bool = False,
    ) -> Page:
        """A whole ranking. ``bridged``: posts that both sides find informative stand before all others."""
        learner = self._learner
        reader = learner.readers.get(account) or Reader(name("reader", account))
        history = reader.history(learner.catalog)
        sources = self.candidates(reader, history)
        kept = self._filter(account, reader, list(sources), now_ms, settings, age_ms, seen_too)
        digest = account + now_ms.to_bytes(8, "big") + learner.events.to_bytes(8, "big")
        ranking = hashlib.sha256(digest).digest()[:ID_BYTES]
        if not kept:
            version, plain = self._weights.version, settings.chronological
            return Page(ranking, 0, now_ms, version, settings.slider, (), None, account, plain)
        scored = self.score(reader, np.array(kept, dtype=np.int64), now_ms, settings.slider)
        if settings.chronological:
            items = tuple(self._item(scored, one, sources, {}) for one in self._by_time(scored))
        else:
            reached = min(places, len(kept))  # a place beyond the last post would lose what is tried out there
            explored = self._explore(ranking, scored, now_ms, reached) if settings.explore else {}
            items = self.lay_out(scored, places, sources, explored, bridged=bridged)
        version, plain = self._weights.version, settings.chronological
        return Page(ranking, 0, now_ms, version, settings.slider, items, None, account, plain)

    def lay_out(
        self,
        scored: Scored,
        places: int,
        sources: dict[int, str] | None = None,
        explored: dict[int, tuple[int, int]] | None = None,
        *,
        bridged: bool = False,
    ) -> tuple[PageItem, ...]:
        """The slate: which post stands where, each with its arithmetic. ``explored``: place -> (row, propensity)."""
        explored = explored or {}
        order = np.lexsort((scored.slots, -scored.base))
        first = {place: row for place, (row, _) in explored.items()}
        if bridged:
            agreed = [row for row in order.tolist() if self._bridges(int(scored.slots[row]))]
            first = dict(enumerate(agreed[:places]))
        rows = list(dict.fromkeys((*order[: SLATE_POOL * places].tolist(), *first.values())))
        back = {row: number for number, row in enumerate(rows)}
        forced = {place: back[row] for place, row in first.items()}
        chosen = select([self._candidate(scored, row) for row in rows], self._weights, places, forced)
        chances = dict(explored.values())
        placed = [Placed(rows[one.index], one.author_points, one.diversity_points) for one in chosen]
        return tuple(self._item(scored, one, sources or {}, chances) for one in placed)

    def _bridges(self, slot: int) -> bool:
        """Whether both sides found it informative; what is only expected of its author does not count."""
        verdict = self._learner.posts.verdict(self._learner.catalog.post(slot).id)
        return verdict is not None and verdict.lift > 0

    def _filter(
        self, account: bytes, reader: Reader, slots: list[int], now_ms: int, settings: Settings, age_ms: int, seen: bool
    ) -> list[int]:
        catalog = self._learner.catalog
        oldest = now_ms - age_ms
        kept = [slot for slot in slots if catalog.at_ms[slot] > oldest]
        plain = Reader(0) if seen else reader
        return [slot for slot in kept if not self.hidden(account, plain, slot, settings)]

    def _candidate(self, scored: Scored, row: int) -> Candidate:
        post = self._learner.catalog.post(int(scored.slots[row]))
        topic = post.tags[0] if post.tags else ""
        return Candidate(post.id, post.author, frozenset(post.tags), topic, int(scored.base[row]))

    def _by_time(self, scored: Scored) -> list[Placed]:
        """Newest first; nothing is taken off for others above, so these items add up as a page of one each."""
        times = self._learner.catalog.at_ms[scored.slots]
        order = np.lexsort((scored.slots, -times))[: B.RANKING_ITEMS]
        return [Placed(row, 0, 0) for row in order.tolist()]

    def _explore(self, ranking: bytes, scored: Scored, now_ms: int, places: int) -> dict[int, tuple[int, int]]:
        """For one place in EXPLORE_EVERY: (row, propensity in millionths) of a new post that few have looked at.

        The choice is uniform and is drawn from the ranking's id, so a replay draws the same.
        """
        catalog, views = self._learner.catalog, self._learner.views
        young = catalog.at_ms[scored.slots] > now_ms - B.EXPLORE_AGE_MS
        rows = [
            row
            for row in np.flatnonzero(young).tolist()
            if views.get(int(catalog.serial[scored.slots[row]]), 0) < B.EXPLORE_VIEWS
        ]
        chosen: dict[int, tuple[int, int]] = {}
        for first in range(0, places, B.EXPLORE_EVERY):
            if not rows:
                break
            draw = mix(int.from_bytes(ranking[:8], "little") ^ first)
            place = first + (draw >> 32) % B.EXPLORE_EVERY
            if place < places:  # a shorter block has its share and no more
                row = rows.pop(draw % len(rows))
                chosen[place] = row, max(1, _MILLION // (len(rows) + 1))
        return chosen

    def _item(self, scored: Scored, placed: Placed, sources: dict[int, str], chances: dict[int, int]) -> PageItem:
        row = placed.index
        slot = int(scored.slots[row])
        post = self._learner.catalog.post(slot)
        facts = Facts(tuple(scored.probabilities[row].tolist()), int(scored.lifts[row]), int(scored.fresh[row]))
        terms = (*scored.terms[row].tolist(), placed.author_points, placed.diversity_points)
        chance = chances.get(row, 0)
        source = "exploration" if chance else sources.get(slot, "")
        note = self._learner.note_shown(post.id)
        return PageItem(post.id, post.author, post.tags, source, facts, terms, sum(terms), chance, note)

    def why_not(self, account: bytes, post: bytes, now_ms: int, settings: Settings) -> str:
        """One sentence about a post that the reader misses."""
        learner = self._learner
        slot = learner.catalog.slot_of.get(post)
        if slot is None:
            return "this post is not known here: it was deleted, or nobody has read it for a long time"
        reader = learner.readers.get(account) or Reader(name("reader", account))
        if why := self.hidden(account, reader, slot, settings):
            return why
        if learner.catalog.at_ms[slot] <= now_ms - B.POST_AGE_MS:
            return f"it is older than {B.POST_AGE_MS // 86_400_000} days"
        page = self.rank(account, now_ms, settings)
        for place, item in enumerate(page.items, 1):
            if item.post == post:
                return f"it is on your pages, in place {place}"
        if slot not in self.candidates(reader, reader.history(learner.catalog)):
            return f"more than {B.CANDIDATES} posts are newer, nearer to what you read, or by people you follow"
        scored = self.score(reader, np.array([slot]), now_ms, settings.slider)
        lowest = min((item.score for item in page.items), default=0)
        worst = TERMS[int(np.argmin(scored.terms[0]))]
        text = f"it scores {int(scored.base[0]) / 1e9:.3f}, the last of your pages {lowest / 1e9:.3f}"
        return f"{text}; most is lost by: {worst}" if scored.terms[0].min() < 0 else text
