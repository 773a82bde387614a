"""Probabilities from integers."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from extensions.ranking.heads import probabilities
from protocol.scoring.sigmoid import MICRO, SPAN, probability
from protocol.scoring.weights import PPB


@given(st.integers(-SPAN * MICRO, SPAN * MICRO))
def test_it_is_the_logistic_function(micro: int) -> None:
    assert abs(probability(micro) / PPB - 1 / (1 + math.exp(-micro / MICRO))) < 4e-6


@given(st.integers(-20 * MICRO, 20 * MICRO), st.integers(0, MICRO))
def test_it_never_falls(micro: int, more: int) -> None:
    assert probability(micro + more) >= probability(micro)


def test_beyond_the_span_it_stays() -> None:
    assert probability(99 * MICRO) == probability(SPAN * MICRO) < PPB
    assert 0 < probability(-99 * MICRO) < 200


def test_numpy_gets_the_same() -> None:
    micro = np.array([-99 * MICRO, -1_234_567, -1, 0, 1, 777_777, 16 * MICRO, 99 * MICRO])
    assert probabilities(micro).tolist() == [probability(one) for one in micro.tolist()]
