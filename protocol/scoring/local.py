"""Ranking on the reader's own device: the ranker's scorer in plain Python, fed by a signed public model.

Nothing about the reader leaves the device: its history, its follows and its wishes lie in ``Personal``. The ranker
scores with numpy, here is no numpy; both get the same probabilities, because everything that is summed over many terms
is summed as integers (the places of posts in 2**-16, weights of features in millionths), and the few real numbers in
between are rounded to a millionth before they decide anything.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Int, UInt
from protocol.identity import SigningKey
from protocol.scoring.hashing import cross, name
from protocol.scoring.page import PageItem
from protocol.scoring.score import Facts, Lift, Slider, base_terms
from protocol.scoring.sigmoid import MICRO, probability
from protocol.scoring.signed import ScoringError, seal, unseal
from protocol.scoring.slate import Candidate, select
from protocol.scoring.weights import ACTIONS, PERMILLE, Weights

_DOMAIN: Final = b"chappe/v1/rank-model\x00"

# -- constants of the scorer, shared with the ranker ------------------------------------------------------------------
DIMENSIONS: Final = 64  # of the places of posts
UNIT: Final = 1 << 16  # of their coordinates
CONTEXT: Final = 30  # posts of a history that make up the reader's place
CONTEXT_HALF: Final = 4.0  # places back in the history that halve a post's weight there
COMPANY: Final = 50  # posts of a history whose company counts
COMPANY_HALF: Final = 3.0  # and what halves their weight
COMPANY_SHRINK: Final = 10.0  # engagements that a post is taken to have had
COMPANY_FLOOR: Final = 0.05  # added before the logarithm: no company is no proof
LEVELS: Final = 5  # of what is known of a reader
AFFINITY_SCALE: Final = 2.0
AFFINITY_MAX: Final = 6.0
TAG_FEATURES: Final = 4  # tags of a post that are features; all eight count for diversity
AGES: Final = 16  # age features: hours in powers of two
HOUR_MS: Final = 3_600_000
LESS_MICRO: Final = 3 * MICRO  # log-odds that a hide gains by each author or tag that the reader wants less of
LESS_HITS_MAX: Final = 3
#: What asks for fewer posts of an author, and how many tags of the post are meant as well. A hide is about one post.
WISH_TAGS: Final = {"less": TAG_FEATURES, "report": 0}
FRESH_HALF_MS: Final = 6 * HOUR_MS  # freshness halves in this time
SLATE_POOL: Final = 4  # candidates for each place, best first: what stands lower never gets onto the page
FOLLOWED: Final = name("followed", b"")
LOCAL: Final = "local"  # the source of a post that the reader's own device has placed
_HIDE: Final = ACTIONS.index("hide")


def recency_weights(count: int) -> list[int]:
    """Weights, in 2**-16, of the last posts of a history in the reader's place: their squares add up to one."""
    raw = [0.5 ** (back / CONTEXT_HALF) for back in range(count)]
    size = math.sqrt(math.fsum(weight * weight for weight in raw)) or 1.0
    return [round(UNIT * weight / size) for weight in raw]


def level(engaged: int) -> int:
    """How well a reader is known: 0, 1–2, 3–6 … engagements."""
    return min(LEVELS - 1, int(math.log2(engaged + 1) / 1.5))


def shape(media: int, words: int) -> int:
    """The feature of a post's size: with media or without, and its length in powers of two."""
    return name("shape", b"%d %d" % (min(media, 1), words.bit_length()))


_Place = Annotated[bytes, Meta(min_length=4 * DIMENSIONS, max_length=4 * DIMENSIONS)]
_Micro = Annotated[tuple[Int, ...], Meta(min_length=len(ACTIONS), max_length=len(ACTIONS))]
_Reals = Annotated[tuple[float, ...], Meta(min_length=len(ACTIONS), max_length=len(ACTIONS))]
_Id = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]
_Tag = Annotated[str, Meta(max_length=L.RANK_TAG_CHARS_MAX)]


class ModelPost(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one post, by everybody."""

    id: _Id
    author: _Id
    at_ms: UInt
    tags: Annotated[tuple[_Tag, ...], Meta(max_length=L.RANK_TAGS_MAX)]
    kind: Annotated[str, Meta(max_length=L.NAME_BYTES_MAX)]
    media: UInt
    words: UInt
    popular: float  # logarithms
    hot: float
    degree: float
    bias: float
    context: _Place  # coordinates in 2**-16, 32-bit little-endian
    target: _Place
    company: tuple[tuple[UInt, float], ...]  # (number of another post in the model, weight)
    lift: Lift
    note: _Id
    place: UInt = 0  # offset in its author's feed; 0: not told
    noted: tuple[_Id, UInt] | None = None  # author of the note, and its offset
    edited: UInt = 0  # offset of its newest version; 0: it has no other


class Model(msgspec.Struct, frozen=True, array_like=True):
    """Everything that scoring needs and that is not personal."""

    made_ms: UInt
    weights: UInt  # version
    blend: Annotated[tuple[tuple[float, float, float, float], ...], Meta(min_length=LEVELS, max_length=LEVELS)]
    bias: _Reals
    slope: _Reals
    posts: Annotated[tuple[ModelPost, ...], Meta(max_length=L.RANK_MODEL_POSTS_MAX)]
    features: Annotated[tuple[tuple[bytes, _Micro], ...], Meta(max_length=L.RANK_MODEL_FEATURES_MAX)]


class Personal(msgspec.Struct, frozen=True, array_like=True):
    """What the device knows of its reader."""

    reader: _Id
    engaged: UInt = 0
    history: Annotated[tuple[_Id, ...], Meta(max_length=L.RANK_HISTORY_MAX)] = ()  # the most recent first
    seen: frozenset[bytes] = frozenset()
    follows: Annotated[frozenset[bytes], Meta(max_length=L.RANK_FOLLOWS_MAX)] = frozenset()
    less: frozenset[bytes] = frozenset()  # features, 8 bytes little-endian
    features: tuple[tuple[bytes, _Micro], ...] = ()  # learned of this reader and authors or tags


def sign_model(model: Model, key: SigningKey) -> bytes:
    """The model as a signed file."""
    return seal(model, _DOMAIN, key)


def open_model(data: bytes, signer: bytes) -> Model:
    """The model that ``signer`` signed. Raises ``ScoringError`` or ``RemoteProtocolError``."""
    return unseal(data, _DOMAIN, signer, Model, "this model is")


class LocalScorer:
    """Scores the posts of a model for one reader."""

    def __init__(self, model: Model, personal: Personal) -> None:
        self._model = model
        self._personal = personal
        self._number = {post.id: number for number, post in enumerate(model.posts)}
        self._reader = name("reader", personal.reader)
        self._weights: dict[int, tuple[int, ...]] = {
            int.from_bytes(key, "little"): micro for key, micro in (*model.features, *personal.features)
        }
        self._less = {int.from_bytes(key, "little") for key in personal.less}
        past = [self._number[post] for post in personal.history if post in self._number]
        self._taste = self._place_of(past[:CONTEXT])
        self._company = self._company_of(past[:COMPANY])

    def _place_of(self, past: list[int]) -> list[int]:
        sums = [0] * DIMENSIONS
        for weight, number in zip(recency_weights(len(past)), past, strict=True):
            for axis, value in enumerate(array("i", self._model.posts[number].context)):
                sums[axis] += weight * value
        return [value // UNIT for value in sums]

    def _company_of(self, past: list[int]) -> dict[int, float]:
        found: dict[int, float] = {}
        for back, number in enumerate(past):
            recency = 0.5 ** (back / COMPANY_HALF)
            for other, weight in self._model.posts[number].company:
                found[other] = found.get(other, 0.0) + weight * recency
        return found

    def facts(self, number: int, now_ms: int) -> Facts:
        """What is to be believed of one post (its number in the model)."""
        post = self._model.posts[number]
        micro = self._dense(post, number)
        keys = self._keys(post, now_ms)
        for key in keys:
            for head, value in enumerate(self._weights.get(key, ())):
                micro[head] += value
        hits = min(LESS_HITS_MAX, sum(key in self._less for key in (keys[0], *keys[4 : 4 + len(_tags(post))])))
        shift = hits * LESS_MICRO
        for head in range(_HIDE):
            micro[head] -= shift // 3
        micro[_HIDE] += shift
        age = max(0, now_ms - post.at_ms)
        fresh = round(PERMILLE * 2.0 ** (-age / FRESH_HALF_MS))
        return Facts(tuple(probability(value) for value in micro), post.lift, fresh)

    def _dense(self, post: ModelPost, number: int) -> list[int]:
        company = self._company.get(number, 0.0) / math.sqrt(post.degree + COMPANY_SHRINK)
        dot = sum(one * other for one, other in zip(array("i", post.target), self._taste, strict=True))
        scores = post.popular, post.hot, math.log(company + COMPANY_FLOOR), dot / (UNIT * UNIT) + post.bias
        blend = self._model.blend[level(self._personal.engaged)]
        odds = blend[0] * scores[0] + blend[1] * scores[1] + blend[2] * scores[2] + blend[3] * scores[3]
        affinity = min(max(odds / AFFINITY_SCALE, -AFFINITY_MAX), AFFINITY_MAX)
        rows = zip(self._model.bias, self._model.slope, strict=True)
        return [round((bias + affinity * slope) * MICRO) for bias, slope in rows]

    def _keys(self, post: ModelPost, now_ms: int) -> list[int]:
        author, tags = name("author", post.author), [name("tag", tag.encode()) for tag in _tags(post)]
        own = [author, name("kind", post.kind.encode()), shape(post.media, post.words), name("post", post.id), *tags]
        hours = max(0, now_ms - post.at_ms) // HOUR_MS
        age = name("age", b"%d" % min(AGES - 1, int(math.log2(hours + 1))))
        followed = [FOLLOWED] if post.author in self._personal.follows else []
        return [*own, *(cross(self._reader, key) for key in (author, *tags)), age, *followed]


def _tags(post: ModelPost) -> tuple[str, ...]:
    return post.tags[:TAG_FEATURES]


def rank_locally(
    model: Model,
    personal: Personal,
    weights: Weights,
    now_ms: int,
    *,
    slider: Slider | None = None,
    hidden: Iterable[bytes] = (),
    words: Iterable[str] = (),
    sources: Mapping[bytes, str] | None = None,
    places: int = L.RANK_PAGE_ITEMS_MAX,
) -> tuple[PageItem, ...]:
    """The reader's ranking, best first: what the ranker would give without exploration, in the same order.

    ``hidden``: authors that the reader blocked or muted; ``words``: tags that it hides.
    Raises ``ScoringError``: the model is for other weights.
    """
    if model.weights != weights.version:
        raise ScoringError(f"the model is for weights {model.weights}, these are version {weights.version}")
    slider = slider or Slider()
    scorer = LocalScorer(model, personal)
    unwanted, unread = {*hidden, personal.reader}, frozenset(words)
    rows: list[tuple[int, int, Facts, tuple[int, ...]]] = []
    for number, post in enumerate(model.posts):
        if post.author not in unwanted and post.id not in personal.seen and not unread.intersection(post.tags):
            facts = scorer.facts(number, now_ms)
            terms = base_terms(facts, weights, slider)
            rows.append((-sum(terms), number, facts, terms))
    rows.sort(key=lambda row: row[:2])
    pool = rows[: SLATE_POOL * places]
    posts = [model.posts[row[1]] for row in pool]
    candidates = [
        Candidate(post.id, post.author, frozenset(post.tags), post.tags[0] if post.tags else "", -row[0])
        for post, row in zip(posts, pool, strict=True)
    ]
    items = []
    for placed in select(candidates, weights, places):
        post, row = posts[placed.index], pool[placed.index]
        terms = (*row[3], placed.author_points, placed.diversity_points)
        source = (sources or {}).get(post.id, LOCAL)
        items.append(PageItem(post.id, post.author, post.tags, source, row[2], terms, sum(terms), 0, post.note))
    return tuple(items)
