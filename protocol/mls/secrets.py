"""The secret tree and the sender ratchets (RFC 9420 section 9).

A `SecretTree` is a value: taking a key gives the next value. It holds only what is not consumed yet: a node's secret
is gone once its children's are derived, a ratchet's once the next one is. So it starts as one secret, grows by at most
two a level for a leaf that is touched, and stays small however large the group is.

Keys of skipped messages are kept, within bounds, for messages that arrive out of order. Because a failed message gives
no new value, nothing that does not authenticate can use up a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from protocol.mls import limits, treemath
from protocol.mls import suite as crypto
from protocol.mls.codec import u16, u32, vec
from protocol.mls.errors import Invalid
from protocol.mls.suite import HASH_BYTES, NONCE_BYTES, Suite, expand_with_label

HANDSHAKE: Final = 0
APPLICATION: Final = 1


class KeyConsumed(Invalid):
    """The generation's key was used before, or is no longer kept."""


class TooFarAhead(Invalid):
    """The generation is farther ahead than a receiver follows."""


class Ratchet(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sender ratchet: the secret of `generation`, and key with nonce of skipped generations, oldest first."""

    secret: bytes
    generation: int
    skipped: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"Ratchet(generation={self.generation}, skipped={len(self.skipped)})"


def _derive_prefix(label: str, length: int) -> bytes:
    return u16(length) + crypto.label_bytes(label) + vec(bytes(4))[:1]


_SECRET_INFO: Final = _derive_prefix("secret", HASH_BYTES)
_NONCE_INFO: Final = _derive_prefix("nonce", NONCE_BYTES)
_KEY_INFO: Final = {size: _derive_prefix("key", size) for size in (16, 32)}


def _key_nonce(secret: bytes, generation: int, key_bytes: int) -> bytes:
    """DeriveTreeSecret (9.1) for key and nonce, joined; the fixed parts of the labels are prepared above."""
    number = u32(generation)
    key = crypto.expand(secret, _KEY_INFO[key_bytes] + number, key_bytes)
    return key + crypto.expand(secret, _NONCE_INFO + number, NONCE_BYTES)


def _step(secret: bytes, generation: int) -> bytes:
    return crypto.expand(secret, _SECRET_INFO + u32(generation), HASH_BYTES)


class SecretTreeParts(msgspec.Struct, frozen=True, array_like=True):
    """A secret tree as it is stored."""

    leaves: int
    nodes: dict[int, bytes]
    ratchets: dict[int, Ratchet]
    stored: int

    def __repr__(self) -> str:
        return "SecretTreeParts(…)"


@dataclass(frozen=True, slots=True, repr=False)
class SecretTree:
    """The message keys of an epoch. `nodes`: unconsumed tree secrets by node number; `ratchets`: by twice the leaf
    index, plus one for application messages; `stored`: number of skipped keys in all ratchets."""

    suite: Suite
    leaves: int
    nodes: dict[int, bytes]
    ratchets: dict[int, Ratchet]
    stored: int = 0

    @classmethod
    def create(cls, suite: Suite, leaves: int, encryption_secret: bytes) -> SecretTree:
        """The secret tree of a new epoch with this many leaves (blank ones included)."""
        return cls(suite, leaves, {treemath.root(leaves): encryption_secret}, {})

    @classmethod
    def from_parts(cls, suite: Suite, parts: SecretTreeParts) -> SecretTree:
        """The tree as `to_parts` gave it."""
        return cls(suite, parts.leaves, parts.nodes, parts.ratchets, parts.stored)

    def to_parts(self) -> SecretTreeParts:
        """For storing; shares its dicts with this value, so only to be encoded."""
        return SecretTreeParts(self.leaves, self.nodes, self.ratchets, self.stored)

    def application_only(self) -> SecretTree:
        """Without the handshake ratchets derived so far: an epoch that is over takes no more handshake messages."""
        ratchets = {number: ratchet for number, ratchet in self.ratchets.items() if number % 2 == APPLICATION}
        stored = sum(len(ratchet.skipped) for ratchet in ratchets.values())
        return SecretTree(self.suite, self.leaves, self.nodes, ratchets, stored)

    def _ratchet(self, leaf: int, kind: int) -> tuple[Ratchet, SecretTree]:
        """The ratchet of a leaf, and the tree in which it exists: derived now if nobody needed it before (9)."""
        ratchet = self.ratchets.get(2 * leaf + kind)
        if ratchet is not None:
            return ratchet, self
        if leaf >= self.leaves:
            raise Invalid("a sender outside the tree")
        nodes = self.nodes.copy()
        top = node = 2 * leaf
        path: list[int] = []
        while top not in nodes:
            top = treemath.parent(top, self.leaves)
            path.append(top)
        secret = nodes.pop(top)
        for above in reversed(path):
            left, right = treemath.left(above), treemath.right(above)
            sides = {left: b"left", right: b"right"}
            mine = left if node < above else right
            for child, side in sides.items():
                nodes[child] = expand_with_label(secret, "tree", side, HASH_BYTES)
            secret = nodes.pop(mine)
        ratchets = self.ratchets.copy()
        for number, label in ((HANDSHAKE, "handshake"), (APPLICATION, "application")):
            ratchets[2 * leaf + number] = Ratchet(expand_with_label(secret, label, b"", HASH_BYTES), 0)
        return ratchets[2 * leaf + kind], SecretTree(self.suite, self.leaves, nodes, ratchets, self.stored)

    def _with(self, leaf: int, kind: int, ratchet: Ratchet, stored: int) -> SecretTree:
        ratchets = self.ratchets.copy()
        ratchets[2 * leaf + kind] = ratchet
        return SecretTree(self.suite, self.leaves, self.nodes, ratchets, stored)

    def next_key(self, leaf: int, kind: int) -> tuple[int, bytes, bytes, SecretTree]:
        """For sending: (generation, key, nonce, the tree without that key)."""
        ratchet, tree = self._ratchet(leaf, kind)
        generation = ratchet.generation
        if generation >= limits.MAX_GENERATION:
            raise ValueError("this sender's ratchet is used up; commit first")
        material = _key_nonce(ratchet.secret, generation, self.suite.key_bytes)
        after = Ratchet(_step(ratchet.secret, generation), generation + 1, ratchet.skipped)
        size = self.suite.key_bytes
        return generation, material[:size], material[size:], tree._with(leaf, kind, after, tree.stored)

    def take_key(self, leaf: int, kind: int, generation: int) -> tuple[bytes, bytes, SecretTree]:
        """For receiving: (key, nonce, the tree without that key).

        `KeyConsumed` if that key is gone, `TooFarAhead` if it is beyond the window.
        """
        ratchet, tree = self._ratchet(leaf, kind)
        size = self.suite.key_bytes
        if generation < ratchet.generation:
            material = ratchet.skipped.get(generation)
            if material is None:
                raise KeyConsumed("the key of this message was used already, or is no longer kept")
            skipped = {g: m for g, m in ratchet.skipped.items() if g != generation}
            left = Ratchet(ratchet.secret, ratchet.generation, skipped)
            return material[:size], material[size:], tree._with(leaf, kind, left, tree.stored - 1)
        if kind == HANDSHAKE and generation > limits.MAX_HANDSHAKE_GENERATION:
            raise TooFarAhead("a handshake generation beyond what an epoch may hold")
        if generation - ratchet.generation > limits.MAX_FORWARD_GENERATIONS:
            raise TooFarAhead("the message is too many generations ahead")
        after, material, stored = self._advance(ratchet, generation, tree.stored)
        return material[:size], material[size:], tree._with(leaf, kind, after, stored)

    def _advance(self, ratchet: Ratchet, generation: int, stored: int) -> tuple[Ratchet, bytes, int]:
        """Steps a ratchet past `generation`, keeping the newest skipped keys within the bounds."""
        secret, size = ratchet.secret, self.suite.key_bytes
        if generation == ratchet.generation:
            after = Ratchet(_step(secret, generation), generation + 1, ratchet.skipped)
            return after, _key_nonce(secret, generation, size), stored
        skipped = ratchet.skipped.copy()
        keep_from = generation - limits.MAX_SKIPPED_KEYS
        for number in range(ratchet.generation, generation):
            if number >= keep_from:
                skipped[number] = _key_nonce(secret, number, size)
            secret = _step(secret, number)
        others = stored - len(ratchet.skipped)
        room = min(limits.MAX_SKIPPED_KEYS, max(limits.MAX_SKIPPED_KEYS_TOTAL - others, 0))
        for number in list(skipped)[: max(len(skipped) - room, 0)]:
            del skipped[number]
        material = _key_nonce(secret, generation, size)
        return Ratchet(_step(secret, generation), generation + 1, skipped), material, others + len(skipped)


def sender_data_key_nonce(suite: Suite, sender_data_secret: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Key and nonce for the sender data of a message with this ciphertext (6.3.2)."""
    sample = ciphertext[:HASH_BYTES]
    key = expand_with_label(sender_data_secret, "key", sample, suite.key_bytes)
    return key, expand_with_label(sender_data_secret, "nonce", sample, NONCE_BYTES)
