"""The Merkle log of receipts, against the definitions of RFC 6962 written down naively."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol import receipts
from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.receipts import (
    Checkpoint,
    Frontier,
    Receipt,
    ReceiptError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    open_checkpoint,
    peak_places,
    receipt_salt,
    sign_checkpoint,
    verify_consistency,
    verify_extension,
    verify_inclusion,
    verify_receipt,
)

KEY = SigningKey(b"k" * 32)
SECRET = b"s" * 32
SIZES = 70


def leaf(n: int) -> bytes:
    return leaf_hash(receipt_salt(SECRET, n), b"receipt %d" % n)


LEAVES = [leaf(n) for n in range(SIZES)]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def node(level: int, index: int) -> bytes:
    return naive_root(LEAVES[index << level : (index + 1) << level])


ROOTS = [naive_root(LEAVES[:n]) for n in range(SIZES + 1)]


def test_the_frontier_has_the_root_of_the_rfc_at_every_size() -> None:
    frontier = Frontier()
    assert frontier.root() == ROOTS[0]
    for n, value in enumerate(LEAVES):
        for level, index, found in frontier.append(value):
            assert found == node(level, index)
        assert frontier.root() == ROOTS[n + 1]
        again = Frontier(n + 1, [node(*place) for place in peak_places(n + 1)])
        assert again.peaks == frontier.peaks
    assert frontier.copy().root() == frontier.root()


def test_only_the_nodes_that_are_asked_for_are_given() -> None:
    frontier = Frontier()
    assert [[place[:2] for place in frontier.append(value, 2)] for value in LEAVES[:8]][3::4] == [
        [(2, 0)],
        [(2, 1), (3, 0)],
    ]


def test_a_frontier_needs_the_right_peaks() -> None:
    with pytest.raises(ValueError, match="2 peaks, not 1"):
        Frontier(3, [b""])


@given(st.integers(1, SIZES), st.data())
def test_inclusion(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node)
    assert verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
    assert not verify_inclusion(leaf(999), index, size, proof, ROOTS[size])
    assert not verify_inclusion(LEAVES[index], index, size, [*proof, bytes(32)], ROOTS[size])
    assert not verify_inclusion(LEAVES[index], size, size, proof, ROOTS[size])
    assert not verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size - 1])
    if proof:
        assert not verify_inclusion(LEAVES[index], index, size, proof[:-1], ROOTS[size])


def test_every_pair_of_sizes_is_consistent_and_no_other_root_is() -> None:
    for size in range(1, SIZES + 1):
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, node)
            assert verify_consistency(old, ROOTS[old], size, ROOTS[size], proof)
            assert not verify_consistency(old, ROOTS[old - 1], size, ROOTS[size], proof)
            assert not verify_consistency(old, ROOTS[old], size, ROOTS[size - 1], proof)
            assert not verify_consistency(old, ROOTS[old], size, ROOTS[size], [*proof, bytes(32)])
    assert not verify_consistency(3, ROOTS[3], 5, ROOTS[5], [])
    assert not verify_consistency(0, ROOTS[0], 5, ROOTS[5], [])


def test_places_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="no leaf 5"):
        inclusion_proof(5, 5, node)
    with pytest.raises(ValueError, match="no consistency"):
        consistency_proof(6, 5, node)


def test_a_leaf_cannot_pass_for_a_node_and_salts_differ() -> None:
    assert leaf_hash(LEAVES[0], LEAVES[1]) != receipts.node_hash(LEAVES[0], LEAVES[1])
    assert len({receipt_salt(SECRET, n) for n in range(100)} | {receipt_salt(b"t" * 32, 0)}) == 101
    assert len(receipt_salt(SECRET, 2**53)) == 32


def checkpoint(size: int, **fields: Any) -> Checkpoint:
    return replace(Checkpoint("mint", size, ROOTS[size], 1000, 1), **fields)


def receipt(index: int, size: int) -> Receipt:
    proof = tuple(inclusion_proof(index, size, node))
    signed = sign_checkpoint(checkpoint(size), KEY)
    return Receipt(b"receipt %d" % index, receipt_salt(SECRET, index), index, proof, signed)


def test_a_receipt_is_verified_offline() -> None:
    good = receipt(5, 50)
    assert verify_receipt(good, KEY.public, "mint") == checkpoint(50)
    for bad in (replace(good, body=b"receipt 6"), replace(good, index=6), replace(good, salt=bytes(32))):
        with pytest.raises(ReceiptError, match="not in the log"):
            verify_receipt(bad, KEY.public, "mint")


def test_checkpoints_of_others() -> None:
    signed = sign_checkpoint(checkpoint(50), KEY)
    with pytest.raises(ReceiptError, match="does not verify"):
        open_checkpoint(signed, SigningKey(b"x" * 32).public, "mint")
    with pytest.raises(ReceiptError, match="of the log 'mint'"):
        open_checkpoint(signed, KEY.public, "other")
    with pytest.raises(RemoteProtocolError):
        open_checkpoint(b"nonsense", KEY.public, "mint")


def test_a_log_only_grows() -> None:
    old, new = checkpoint(20), checkpoint(50)
    proof = consistency_proof(20, 50, node)
    verify_extension(old, new, proof)
    verify_extension(checkpoint(0), new, [])
    with pytest.raises(ReceiptError, match="rewritten"):
        verify_extension(replace(old, root=bytes(32)), new, proof)
    with pytest.raises(ReceiptError, match="shrank from 50 to 20"):
        verify_extension(new, old, proof)
    with pytest.raises(ReceiptError, match="different logs"):
        verify_extension(replace(old, ledger="other"), new, proof)
