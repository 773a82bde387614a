"""Receipts of a worker, verifiable offline: a Merkle log of salted receipts and signed checkpoints over it.

The tree is that of RFC 6962 section 2.1 (RFC 9162 section 2.1 says the same more fully): SHA-256, ``0x00`` before a
leaf and ``0x01`` before a node, so neither can pass for the other. A leaf is ``SHA-256(0x00 || salt || receipt)``: who
gets the proof of one receipt sees hashes of its neighbours, and without their salts cannot guess what they say. Indices
count from 0. ``node(level, index)`` gives the hash of the complete subtree of leaves ``index·2^level`` to
``(index+1)·2^level − 1``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Key, Signature, UInt
from protocol.identity import SigningKey, verify

NodeOf = Callable[[int, int], bytes]

_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"
_CHECKPOINT: Final = b"chappe/v1/ledger-checkpoint\x00"
_SALT: Final = b"chappe/v1/salt"  # BLAKE2b has a parameter for domains, of at most 16 bytes
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class ReceiptError(ChappeError):
    """A receipt, proof or checkpoint that does not hold; the text says why."""


def receipt_salt(secret: bytes, index: int) -> bytes:
    """The salt of a leaf: keyed BLAKE2b (RFC 7693) of its index, 32 bytes, the same every time.

    Only who has the log's ``secret`` (32 bytes) can compute it. HMAC would do as well, and takes three times as long.
    """
    return hashlib.blake2b(index.to_bytes(8, "big"), digest_size=L.KEY_BYTES, key=secret, person=_SALT).digest()


def leaf_hash(salt: bytes, receipt: bytes) -> bytes:
    """The leaf of a receipt. The salt has 32 bytes, so the two cannot be cut apart in another place."""
    return hashlib.sha256(_LEAF + salt + receipt).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The parent of two nodes."""
    return hashlib.sha256(_NODE + left + right).digest()


class Frontier:
    """The right edge of a growing tree: one hash for each bit of its size, so appending costs one hash on average."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """``peaks``: roots of the complete subtrees that make up the tree, the largest first."""
        if len(peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} peaks, not {len(peaks)}")
        self.size = size
        self.peaks = list(peaks)

    def copy(self) -> Frontier:
        """Another one that starts from here."""
        return Frontier(self.size, self.peaks)

    def append(self, leaf: bytes, level_min: int = 1) -> list[tuple[int, int, bytes]]:
        """Add a leaf; the nodes from ``level_min`` up that are complete now, as (level, index, hash)."""
        completed = []
        number, level, value = self.size, 0, leaf
        while number & 1:
            value = node_hash(self.peaks.pop(), value)
            number >>= 1
            level += 1
            if level >= level_min:
                completed.append((level, number, value))
        self.peaks.append(value)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self.peaks:
            return EMPTY_ROOT
        value = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            value = node_hash(peak, value)
        return value


def peak_places(size: int) -> list[tuple[int, int]]:
    """(level, index) of the peaks of a tree, the largest first."""
    places, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            places.append((level, start >> level))
            start += 1 << level
    return places


# -- proofs -----------------------------------------------------------------------------------------------------------
def _split(count: int) -> int:
    """The largest power of two below ``count`` (RFC 6962: k)."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(start: int, end: int, node: NodeOf) -> bytes:
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, start >> level)
    middle = start + _split(count)
    return node_hash(_subtree(start, middle, node), _subtree(middle, end, node))


def inclusion_proof(index: int, size: int, node: NodeOf) -> list[bytes]:
    """The audit path of a leaf, from the bottom up (RFC 6962 section 2.1.1). Raises ValueError out of range."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, size: int, node: NodeOf) -> list[bytes]:
    """Proof that the tree of ``old`` leaves is a prefix (RFC 6962 section 2.1.2). Raises ValueError out of range."""
    if not 0 < old <= size:
        raise ValueError(f"no consistency from {old} to {size}")
    path, start, end, whole = [], 0, size, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start, whole = middle, False
    if not whole:
        path.append(_subtree(start, end, node))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``leaf`` is number ``index`` of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last, value = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            value = node_hash(step, value)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            value = node_hash(value, step)
        number >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(value, root)


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the older tree is a prefix of the newer (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= size:
        return False
    if old == size:
        return not proof and hmac.compare_digest(old_root, root)
    steps = list(proof)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        return False
    number, last = old - 1, size - 1
    while number & 1:
        number >>= 1
        last >>= 1
    older = newer = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not number & 1 and number:
                number >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, step)
        number >>= 1
        last >>= 1
    return last == 0 and hmac.compare_digest(older, old_root) and hmac.compare_digest(newer, root)


# -- what is signed ---------------------------------------------------------------------------------------------------
class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """What the worker states of its whole log at a time."""

    ledger: Annotated[str, Meta(max_length=L.NAME_BYTES_MAX)]  # which log: its operator's name for it
    size: UInt
    root: Key
    time_ms: UInt
    epoch: UInt  # of the writer: of two checkpoints of one size, that of the higher epoch holds


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    signature: Signature


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """All that is needed to check one receipt offline, but the worker's key and the name of its log."""

    body: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    salt: Key
    index: UInt
    proof: Annotated[tuple[Key, ...], Meta(max_length=53)]  # a log of 2^53 leaves has paths of 53 steps
    checkpoint: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """The checkpoint as published."""
    body = encode_struct(checkpoint)
    return encode_struct(_Signed(body, key.sign(_CHECKPOINT, body)))


def claimed_size(signed: bytes) -> int | None:
    """How many receipts a checkpoint says that the log holds, whoever signed it; None if it is none."""
    try:
        return decode_struct(decode_struct(signed, _Signed).body, Checkpoint).size
    except RemoteProtocolError:
        return None


@lru_cache(maxsize=64)  # receipts of one commit carry one checkpoint, and those that are known are compared with each
def _opened(signed: bytes, signer: bytes) -> Checkpoint:
    outer = decode_struct(signed, _Signed)
    if not verify(signer, _CHECKPOINT, outer.body, outer.signature):
        raise ReceiptError("the signature of the checkpoint does not verify: another worker, or changed on the way")
    return decode_struct(outer.body, Checkpoint)


def open_checkpoint(signed: bytes, signer: bytes, ledger: str) -> Checkpoint:
    """Check a checkpoint of one log. Raises ReceiptError, or RemoteProtocolError if it is none."""
    checkpoint = _opened(signed, signer)
    if checkpoint.ledger != ledger:
        raise ReceiptError(f"this checkpoint is of the log {checkpoint.ledger!r}, not of {ledger!r}")
    return checkpoint


def verify_receipt(receipt: Receipt, signer: bytes, ledger: str) -> Checkpoint:
    """Check that a receipt is in the log that ``signer`` states; the checkpoint that proves it. Raises ReceiptError."""
    checkpoint = open_checkpoint(receipt.checkpoint, signer, ledger)
    leaf = leaf_hash(receipt.salt, receipt.body)
    if not verify_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root):
        raise ReceiptError("the receipt is not in the log of this checkpoint, or its proof is of another one")
    return checkpoint


def verify_extension(older: Checkpoint, newer: Checkpoint, proof: Sequence[bytes]) -> None:
    """Check that a log only grew between two of its checkpoints. Raises ReceiptError: then the worker rewrote it."""
    if older.ledger != newer.ledger:
        raise ReceiptError("the two checkpoints are of different logs")
    if newer.size < older.size:
        raise ReceiptError(
            f"the log shrank from {older.size} to {newer.size} receipts: a backup may have been restored"
        )
    if older.size and not verify_consistency(older.size, older.root, newer.size, newer.root, proof):
        raise ReceiptError("the newer checkpoint does not continue the older one: the log was rewritten")
