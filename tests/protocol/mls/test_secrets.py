"""The secret tree and sender ratchets (RFC 9420 section 9): order, windows, deletion."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.mls import limits
from protocol.mls.errors import Invalid
from protocol.mls.secrets import (
    APPLICATION,
    HANDSHAKE,
    KeyConsumed,
    Ratchet,
    SecretTree,
    SecretTreeParts,
    TooFarAhead,
)
from protocol.mls.suite import SUITES
from tests.protocol.mls.vector_table import check_file

ROOT_SECRET = b"s" * 32


def fresh(leaves: int = 8) -> SecretTree:
    return SecretTree.create(SUITES[3], leaves, ROOT_SECRET)


def everything_in(tree: SecretTree) -> bytes:
    """All bytes that the state holds."""
    return msgspec.msgpack.encode(tree.to_parts())


def test_official_vectors() -> None:
    check_file("secret-tree.json", at_least=6)


def test_sender_and_receiver_agree_in_any_order() -> None:
    sender, receiver = fresh(), fresh()
    sent = []
    for _ in range(5):
        generation, key, nonce, sender = sender.next_key(3, APPLICATION)
        sent.append((generation, key, nonce))
    assert [generation for generation, _, _ in sent] == [0, 1, 2, 3, 4]
    for generation, key, nonce in (sent[3], sent[0], sent[4], sent[2], sent[1]):
        got_key, got_nonce, receiver = receiver.take_key(3, APPLICATION, generation)
        assert (got_key, got_nonce) == (key, nonce)
    assert receiver.stored == 0


@given(st.permutations(range(12)))
def test_each_key_is_given_once(order: list[int]) -> None:
    tree = fresh(2)
    for generation in order:
        _, _, tree = tree.take_key(1, HANDSHAKE, generation)
        with pytest.raises(KeyConsumed):
            tree.take_key(1, HANDSHAKE, generation)
    assert tree.stored == 0


def test_9_2_consumed_secrets_are_gone() -> None:
    tree = fresh()
    assert ROOT_SECRET in everything_in(tree)
    key, nonce, after = tree.take_key(5, APPLICATION, 2)
    kept = everything_in(after)
    assert ROOT_SECRET not in kept
    assert key + nonce not in kept
    # Of the path to the leaf only the siblings stay (leaf 5 is node 10: its siblings are nodes 3, 13 and 8).
    assert sorted(after.nodes) == [3, 8, 13]
    first = after.ratchets[2 * 5 + APPLICATION]
    assert (first.generation, sorted(first.skipped)) == (3, [0, 1])
    _, _, later = after.take_key(5, APPLICATION, 0)
    assert sorted(later.ratchets[2 * 5 + APPLICATION].skipped) == [1]
    assert first.skipped[0] not in everything_in(later)


def test_values_do_not_change() -> None:
    tree = fresh()
    before = everything_in(tree)
    _, _, _, after = tree.next_key(0, APPLICATION)
    assert everything_in(tree) == before
    middle = everything_in(after)
    after.take_key(1, APPLICATION, 9)
    assert everything_in(after) == middle


def test_forward_window() -> None:
    tree = fresh()
    tree.take_key(0, APPLICATION, limits.MAX_FORWARD_GENERATIONS)
    with pytest.raises(TooFarAhead, match="ahead"):
        tree.take_key(0, APPLICATION, limits.MAX_FORWARD_GENERATIONS + 1)
    with pytest.raises(TooFarAhead, match="handshake"):
        tree.take_key(0, HANDSHAKE, limits.MAX_HANDSHAKE_GENERATION + 1)


def test_stored_keys_of_a_sender_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SKIPPED_KEYS", 4)
    _, _, tree = fresh().take_key(0, APPLICATION, 3)
    _, _, tree = tree.take_key(0, APPLICATION, 9)
    ratchet = tree.ratchets[APPLICATION]
    assert sorted(ratchet.skipped) == [5, 6, 7, 8]
    assert tree.stored == 4
    with pytest.raises(KeyConsumed):
        tree.take_key(0, APPLICATION, 4)


def test_stored_keys_of_a_group_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SKIPPED_KEYS_TOTAL", 10)
    tree = fresh()
    for leaf in range(4):
        _, _, tree = tree.take_key(leaf, APPLICATION, 4)
    assert tree.stored == 10 == sum(len(ratchet.skipped) for ratchet in tree.ratchets.values())
    assert sorted(tree.ratchets[2 * 2 + APPLICATION].skipped) == [2, 3]


def test_a_ratchet_ends() -> None:
    last = Ratchet(b"r" * 32, limits.MAX_GENERATION)
    tree = SecretTree(SUITES[3], 2, {}, {APPLICATION: last})
    with pytest.raises(ValueError, match="commit first"):
        tree.next_key(0, APPLICATION)


def test_senders_outside_the_tree() -> None:
    with pytest.raises(Invalid, match="outside"):
        fresh().take_key(8, APPLICATION, 0)


def test_application_only_drops_handshake_ratchets() -> None:
    _, _, tree = fresh().take_key(2, HANDSHAKE, 3)
    _, _, tree = tree.take_key(2, APPLICATION, 1)
    assert tree.stored == 4
    kept = tree.application_only()
    assert (list(kept.ratchets), kept.stored) == ([2 * 2 + APPLICATION], 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), max_size=8))
def test_storing_changes_nothing(steps: list[tuple[int, int]]) -> None:
    kept, stored = fresh(4), fresh(4)
    for leaf, generation in steps:
        data = everything_in(stored)
        stored = SecretTree.from_parts(SUITES[3], msgspec.msgpack.decode(data, type=SecretTreeParts))
        outcomes: list[tuple[bytes, bytes, SecretTree] | None] = []
        for tree in (kept, stored):
            try:
                outcomes.append(tree.take_key(leaf, APPLICATION, generation))
            except KeyConsumed:
                outcomes.append(None)
        first, second = outcomes
        assert (first is None) == (second is None)
        if first is not None and second is not None:
            assert first[:2] == second[:2]
            kept, stored = first[2], second[2]
    assert everything_in(kept) == everything_in(stored)


def test_secrets_do_not_show_in_reprs() -> None:
    _, _, tree = fresh().take_key(0, APPLICATION, 1)
    for value in (tree, tree.to_parts(), tree.ratchets[APPLICATION]):
        assert repr(tree.ratchets[APPLICATION].secret) not in repr(value)
