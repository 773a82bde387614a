"""Identifiers are what SPEC.md says, computed here a second time, and no two kinds can collide."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import ids
from tests.protocol.samples import filler

ONE, OTHER = filler("one", 32), filler("other", 32)
parts = st.lists(st.binary(max_size=40), max_size=4)


def by_hand(label: str, *items: bytes) -> bytes:
    text = b"".join(len(item).to_bytes(4, "big") + item for item in (b"chappe/v1/" + label.encode(), *items))
    return hashlib.sha256(text).digest()


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (ids.pair_topic(ONE, OTHER), by_hand("topic/pair", *sorted([ONE, OTHER]))),
        (ids.group_topic(ONE, OTHER), by_hand("topic/group", ONE, OTHER)),
        (ids.inbox_topic(ONE), by_hand("topic/inbox", ONE)),
        (ids.self_topic(ONE), by_hand("topic/self", ONE)),
        (ids.feed_topic(ONE), by_hand("topic/feed", ONE)),
        (ids.shard_topic(7), by_hand("topic/shard", b"\x07")),
        (ids.about_topic(ONE), by_hand("topic/about", ONE)),
        (ids.entry_key(ONE, OTHER), by_hand("feed/entry", ONE, OTHER)),
        (ids.tagged_hash("x", ()), by_hand("x")),
    ],
)
def test_derived_values(found: bytes, wanted: bytes) -> None:
    assert found == wanted
    assert len(found) == 32


def test_a_pair_is_the_same_from_both_sides_and_a_group_is_its_founders() -> None:
    assert ids.pair_topic(ONE, OTHER) == ids.pair_topic(OTHER, ONE)
    assert ids.group_topic(ONE, OTHER) != ids.group_topic(OTHER, ONE)


def test_kinds_never_meet() -> None:
    of_one = [ids.inbox_topic(ONE), ids.self_topic(ONE), ids.feed_topic(ONE), ids.pair_topic(ONE, ONE)]
    assert len(set(of_one)) == len(of_one)
    assert len(set(ids.TopicKind)) == 7
    of_one += [ids.shard_topic(1), ids.about_topic(ONE), ids.entry_key(ONE, OTHER)]
    assert len(set(of_one)) == 7


@given(parts, parts)
def test_different_parts_have_different_hashes(one: list[bytes], other: list[bytes]) -> None:
    assert (ids.tagged_hash("t", one) == ids.tagged_hash("t", other)) is (one == other)


def test_moving_a_byte_between_parts_changes_the_hash() -> None:
    values = {ids.tagged_hash("t", split) for split in ([b"abc"], [b"ab", b"c"], [b"a", b"bc"], [b"", b"abc"])}
    assert len(values) == 4
    assert ids.tagged_hash("t", [b"abc"]) != ids.tagged_hash("ta", [b"bc"])


@given(st.integers(0, 2**48 - 1))
def test_an_id_is_48_bits_of_time_and_80_of_chance(now_ms: int) -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"\xee" * size

    made = ids.new_id(now_ms, entropy)
    assert (len(made), made[6:], asked) == (16, b"\xee" * 10, [10])
    assert ids.id_ms(made) == now_ms


@given(st.integers(0, 2**48 - 2))
def test_ids_sort_by_time(now_ms: int) -> None:
    assert ids.new_id(now_ms, lambda n: b"\xff" * n) < ids.new_id(now_ms + 1, bytes)


def test_a_time_that_does_not_fit_is_refused() -> None:
    with pytest.raises(OverflowError):
        ids.new_id(2**48, bytes)
