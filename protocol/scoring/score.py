"""What a post is worth to a reader, in whole points, as a sum of named terms that adds up exactly.

``base_terms`` is the specification; ``extensions.ranking`` computes the same with numpy for a thousand posts at once,
and the reader's client re-computes it for each item of a page. Division rounds towards minus infinity (Python's
``//``, numpy's ``//``), in every term, so all get the same integers.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol.scoring.weights import ACTIONS, PERMILLE, PPB, Permille, Weights

#: The names of the terms of a score, in their order.
TERMS: Final = (*ACTIONS, "bridging", "fresh", "author", "diversity")
IN_FULL: Final = "report"  # the action that no setting makes cheaper; a hide is a matter of taste, as a like is
Probability = Annotated[int, Meta(ge=0, le=PPB)]
Lift = Annotated[int, Meta(ge=-PERMILLE, le=PERMILLE)]


class Slider(msgspec.Struct, frozen=True, array_like=True):
    """The reader's own setting, in permille. Neither: engagement alone, as it is expected of everybody else's feeds."""

    bridging: Permille = 500
    fresh: Permille = 0


class Facts(msgspec.Struct, frozen=True, array_like=True):
    """What the ranker believes about one post and one reader: all that the arithmetic needs."""

    probabilities: Annotated[tuple[Probability, ...], Meta(min_length=len(ACTIONS), max_length=len(ACTIONS))]
    #: -1000: only one side likes it; 0: not known; 1000: both sides find it informative. Of a new post: what its
    #: author's others got, on average, and less while they are few.
    bridging: Lift = 0
    fresh: Permille = 0  # 1000: of this minute; halves every FRESH_HALF_MS


def engagement_share(slider: Slider, weights: Weights) -> int:
    """Permille of the expected actions that count: the further the slider is from engagement, the fewer."""
    pull = max(slider.bridging, slider.fresh)
    return PERMILLE - (PERMILLE - weights.engagement_min) * pull // PERMILLE


def base_terms(facts: Facts, weights: Weights, slider: Slider) -> tuple[int, ...]:
    """Points of the actions, of bridging and of freshness (the first nine of ``TERMS``).

    What people are expected to like or dislike counts by the slider's share; a report always in full. Bridging
    moves a post by at most ``bridging_max`` of the good it would do by itself, so it lifts nothing that nobody wants.
    """
    share = engagement_share(slider, weights)
    terms = []
    good = 0
    for action, weight, probability in zip(ACTIONS, weights.actions, facts.probabilities, strict=True):
        points = weight * probability // PERMILLE
        good += max(0, points)
        terms.append(points if action == IN_FULL else points * share // PERMILLE)
    lift = facts.bridging * weights.bridging_max // PERMILLE * slider.bridging // PERMILLE
    terms.append(good * lift // PERMILLE)
    terms.append(weights.fresh_points * slider.fresh // PERMILLE * facts.fresh // PERMILLE)
    return tuple(terms)


def author_share(earlier: int, weights: Weights) -> int:
    """Permille that is left of a post when so many posts of its author stand above it."""
    share = PERMILLE - weights.author_floor
    for _ in range(min(earlier, 10)):
        share = share * weights.author_decay // PERMILLE
    return weights.author_floor + share


def similarity(tags: frozenset[str], other: frozenset[str]) -> int:
    """Permille of tags that two posts share, of all that they have (Jaccard); without tags they share nothing."""
    union = len(tags | other)
    return PERMILLE * len(tags & other) // union if union else 0


def slate_terms(base: int, earlier: int, likeness: int, weights: Weights) -> tuple[int, int]:
    """Points that a post loses below others: of its author, and of its topics (MMR). Never positive.

    ``likeness``: permille, the highest ``similarity`` to any post above it.
    """
    size = abs(base)
    author = -(size * (PERMILLE - author_share(earlier, weights)) // PERMILLE)
    diversity = -(size * weights.diversity // PERMILLE * likeness // PERMILLE)
    return author, diversity


def total(terms: tuple[int, ...]) -> int:
    """The score: the sum of its terms."""
    return sum(terms)
