"""The public weights: what each expected action is worth, and every constant of the arithmetic, in one signed file.

All numbers are integers, so that every language re-computes the same score: weights in thousandths, shares in
thousandths (permille), probabilities in billionths, points in billionths. The largest product stays below 2**53.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol.frames import UInt
from protocol.identity import SigningKey
from protocol.scoring.signed import ScoringError, seal, unseal

_DOMAIN: Final = b"chappe/v1/rank-weights\x00"
ACTIONS: Final = ("view", "dwell", "like", "reply", "share", "hide", "report")
PERMILLE: Final = 1000
PPB: Final = 1_000_000_000
WEIGHT_MAX: Final = 100_000  # thousandths: a report counts a hundred times a long look; the points of all stay < 2**40

Weight = Annotated[int, Meta(ge=-WEIGHT_MAX, le=WEIGHT_MAX)]
Permille = Annotated[int, Meta(ge=0, le=PERMILLE)]


class Weights(msgspec.Struct, frozen=True, array_like=True):
    """Everything that decides an order and is not learned."""

    version: UInt = 1
    made_ms: UInt = 0
    #: Thousandths for ``ACTIONS``, in their order. Negatives are heavy: one report outweighs a hundred long looks.
    actions: Annotated[tuple[Weight, ...], Meta(min_length=len(ACTIONS), max_length=len(ACTIONS))] = (
        100,
        1000,
        1000,
        4000,
        3000,
        -20_000,
        -100_000,
    )
    bridging_max: Permille = 500  # a lift (or a drop) by bridging is at most half of a post's own value: ×1.5
    engagement_min: Permille = 200  # of expected actions that is left with the slider at bridging or at fresh
    fresh_points: UInt = PPB  # what a post of this minute gains with the slider at fresh: as much as a sure like
    author_decay: Permille = 500  # each further post of the same author
    author_floor: Permille = 250  # and never below this share
    diversity: Permille = 300  # share of its value that a post loses if all its tags were shown already
    authors_in_ten: UInt = 2  # posts of one author among ten in a row
    topics_in_ten: UInt = 4  # posts with the same first tag among ten in a row, while there are others


DEFAULT: Final = Weights()


def sign_weights(weights: Weights, key: SigningKey) -> bytes:
    """The weights as a signed file."""
    return seal(weights, _DOMAIN, key)


def open_weights(data: bytes, signer: bytes, *, at_least: int = 0) -> Weights:
    """The weights of a file, if ``signer`` signed it and it is not older than a version seen before.

    Raises ``ScoringError`` (not this signer's, or a version that was replaced) and ``RemoteProtocolError`` (no such
    file).
    """
    weights = unseal(data, _DOMAIN, signer, Weights, "these weights are")
    if weights.version < at_least:
        raise ScoringError(f"weights of version {weights.version} were replaced by version {at_least}")
    return weights
