"""Chance: committed, mixed, and drawn the same by everybody."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.rules import deals

MATCH, SEED = b"m" * 32, b"s" * 32
KNOWN_SECRET = "51633dfed30b9d7e1ff213cb50ec84dafbcab236f4a8af6fc2ffaa8d84dcfb4c"
KNOWN_DEAL = (7, 4, 8, 2, 6, 9, 3, 5, 1, 0)
KNOWN_DICE = (2, 4, 5, 5, 6, 6, 4, 6)


def test_a_seed_is_the_one_that_was_committed_to() -> None:
    committed = deals.commitment(MATCH, SEED)
    assert deals.is_seed(MATCH, SEED, committed)
    assert not deals.is_seed(MATCH, b"t" * 32, committed)
    assert not deals.is_seed(b"n" * 32, SEED, committed)
    assert not deals.is_seed(MATCH, SEED[:31], committed)


def test_everybody_changes_the_secret() -> None:
    secrets = {
        deals.mix(MATCH, SEED, (b"a" * 32, b"b" * 32)),
        deals.mix(MATCH, SEED, (b"b" * 32, b"a" * 32)),
        deals.mix(MATCH, SEED, (b"a" * 32, b"c" * 32)),
        deals.mix(MATCH, b"t" * 32, (b"a" * 32, b"b" * 32)),
        deals.mix(b"n" * 32, SEED, (b"a" * 32, b"b" * 32)),
    }
    assert len(secrets) == 5


def test_the_draw_is_what_it_was() -> None:
    """Fixed values: another language must get the same."""
    secret = deals.mix(MATCH, SEED, (b"a" * 32, b"b" * 32))
    assert secret.hex() == KNOWN_SECRET
    assert deals.shuffled(secret, "deal", range(10)) == KNOWN_DEAL
    assert deals.dice(secret, 0, 8) == KNOWN_DICE


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(), max_size=60))
def test_a_shuffle_loses_nothing_and_repeats_itself(secret: bytes, items: list[int]) -> None:
    one = deals.shuffled(secret, "deal", items)
    assert sorted(one) == sorted(items)
    assert one == deals.shuffled(secret, "deal", items)


def test_every_order_is_equally_likely() -> None:
    """4,800 shuffles of three: chi-squared with 5 degrees of freedom below 20.5 (99.9 %)."""
    stream = deals.Stream(b"k" * 32)
    counts = Counter(stream.shuffled("abc") for _ in range(4800))
    assert set(counts) == set(permutations("abc"))
    assert sum((count - 800) ** 2 / 800 for count in counts.values()) < 20.5


def test_numbers_beyond_the_last_whole_block_are_drawn_again() -> None:
    bound = 3 << 30  # a quarter of all words must be thrown away
    drawn = [deals.Stream(bytes([at]) * 32).below(bound) for at in range(64)]
    assert max(drawn) < bound
    plain = [deals.Stream(bytes([at]) * 32).below(1 << 32) for at in range(64)]
    assert any(one != other for one, other in zip(drawn, plain, strict=True))


@pytest.mark.parametrize("bound", [0, -1, (1 << 32) + 1])
def test_bounds_that_make_no_sense(bound: int) -> None:
    with pytest.raises(ValueError, match="can be drawn"):
        deals.Stream(b"k" * 32).below(bound)


def test_what_a_player_sees_is_signed_without_telling_the_others() -> None:
    digest = deals.observation_digest(b"k" * 32, 0, 3, b"ace")
    assert digest != deals.observation_digest(b"k" * 32, 1, 3, b"ace")
    assert digest != deals.observation_digest(b"k" * 32, 0, 4, b"ace")
    assert deals.observation_digest(b"", 0, 3, b"ace") == deals.observation_digest(b"", 1, 4, b"ace")
    assert len(deals.observation_salt(b"k" * 32, 0, 3)) == 32


def test_a_commitment_fits_one_move_only() -> None:
    one = deals.move_commitment(MATCH, 0, 1, "rock", b"s" * 16)
    others = [
        deals.move_commitment(MATCH, 1, 1, "rock", b"s" * 16),
        deals.move_commitment(MATCH, 0, 2, "rock", b"s" * 16),
        deals.move_commitment(MATCH, 0, 1, "paper", b"s" * 16),
        deals.move_commitment(MATCH, 0, 1, "rock", b"t" * 16),
    ]
    assert one not in others
    with pytest.raises(ValueError, match="16 bytes"):
        deals.move_commitment(MATCH, 0, 1, "rock", b"short")
