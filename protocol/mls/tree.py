"""The ratchet tree: its nodes, hashes, resolutions and changes (RFC 9420 sections 4, 7.7 to 7.9, 12.4.3.3).

A `RatchetTree` that was handed to somebody else is never changed: whoever wants another tree takes a `copy` (a few
microseconds for 1,000 leaves), edits it, and hands that one on. Nodes are kept as received bytes and parsed when
somebody looks, so a stored state of a large group is ready without parsing it; hashes are cached a node and dropped
along the path of a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from protocol.mls import limits, treemath
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, optional, parse_exact, u8, u32, vec, vec_of
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.nodes import LeafNode, ParentNode, parse_leaf, parse_parent

_LEAF: Final = 1
_PARENT: Final = 2


class RatchetTree:
    """A full binary tree of optional nodes, in the array order of RFC 9420 appendix C.

    Nodes are addressed by node number, leaves by leaf index (node `2 * leaf`). Methods that change the tree are for
    the one who made the copy.
    """

    __slots__ = ("_hashes", "_parsed", "_raw")

    def __init__(self, raw: list[bytes | None]) -> None:
        """`raw`: encoded LeafNode or ParentNode or None for each node; the length is of the form 2^d - 1."""
        self._raw = raw
        self._parsed: list[LeafNode | ParentNode | None] = [None] * len(raw)
        self._hashes: list[bytes | None] = [None] * len(raw)

    def copy(self) -> RatchetTree:
        """The same tree, for editing."""
        twin = RatchetTree.__new__(RatchetTree)
        twin._raw, twin._parsed, twin._hashes = self._raw.copy(), self._parsed.copy(), self._hashes.copy()
        return twin

    # Looking

    @property
    def leaf_count(self) -> int:
        """Leaves, blank ones included: a power of two."""
        return (len(self._raw) + 1) // 2

    @property
    def root(self) -> int:
        """The root's node number."""
        return treemath.root(self.leaf_count)

    def raw_nodes(self) -> list[bytes | None]:
        """The encoded nodes, as the constructor takes them."""
        return self._raw.copy()

    def raw(self, node: int) -> bytes | None:
        """One encoded node, or None if it is blank or beyond the tree."""
        return self._raw[node] if node < len(self._raw) else None

    def leaf(self, leaf_index: int) -> LeafNode | None:
        """The leaf node, or None if it is blank or beyond the tree."""
        node = 2 * leaf_index
        raw = self.raw(node)
        if raw is None:
            return None
        found = self._parsed[node]
        if found is None:
            found = self._parsed[node] = parse_exact(raw, parse_leaf)
        assert isinstance(found, LeafNode)
        return found

    def parent(self, node: int) -> ParentNode | None:
        """The parent node with this (odd) number, or None if it is blank or beyond the tree."""
        raw = self.raw(node)
        if raw is None:
            return None
        found = self._parsed[node]
        if found is None:
            found = self._parsed[node] = parse_exact(raw, parse_parent)
        assert isinstance(found, ParentNode)
        return found

    def encryption_key(self, node: int) -> bytes | None:
        """The node's X25519 public key, None for a blank node."""
        raw = self.raw(node)
        # The key is the first field of both kinds of node, and both parsers insist on its 32 bytes.
        return None if raw is None else raw[1:33]

    def signature_key(self, leaf_index: int) -> bytes | None:
        """The leaf's Ed25519 public key, None for a blank leaf: its second field."""
        raw = self.raw(2 * leaf_index)
        return None if raw is None else raw[34:66]

    def leaves(self) -> Iterator[tuple[int, LeafNode]]:
        """The leaves that are not blank, with their indices, from the left."""
        for leaf_index in self.members():
            leaf = self.leaf(leaf_index)
            assert leaf is not None
            yield leaf_index, leaf

    def members(self) -> list[int]:
        """The indices of the leaves that are not blank."""
        return [node // 2 for node in range(0, len(self._raw), 2) if self._raw[node] is not None]

    def encryption_keys(self) -> list[bytes]:
        """The public keys of all nodes that are not blank."""
        return [raw[1:33] for raw in self._raw if raw is not None]

    def is_empty_below(self, node: int) -> bool:
        """Whether a node's resolution is empty: nothing but blanks from there down."""
        reach = (1 << treemath.level(node)) - 1
        return all(raw is None for raw in self._raw[node - reach : node + reach + 1])

    def resolution(self, node: int) -> list[int]:
        """The node's resolution (4.1.1), as node numbers in order."""
        if self._raw[node] is not None:
            if node % 2 == 0:
                return [node]
            parent = self.parent(node)
            assert parent is not None
            return [node, *(2 * leaf for leaf in parent.unmerged_leaves)]
        if node % 2 == 0:
            return []
        return self.resolution(treemath.left(node)) + self.resolution(treemath.right(node))

    def filtered_direct_path(self, leaf_index: int) -> list[tuple[int, int]]:
        """(node, its child on the copath) for the filtered direct path (4.1.2), from the leaf up."""
        path: list[tuple[int, int]] = []
        below = 2 * leaf_index
        for node in treemath.direct_path(below, self.leaf_count):
            other = treemath.right(node) if below < node else treemath.left(node)
            if not self.is_empty_below(other):
                path.append((node, other))
            below = node
        return path

    # Hashes

    def tree_hash(self, node: int | None = None) -> bytes:
        """The tree hash (7.8) of a node, of the root without argument."""
        at = self.root if node is None else node
        found = self._hashes[at]
        if found is None:
            found = self._hashes[at] = crypto.sha256(self._hash_input(at))
        return found

    def _hash_input(self, node: int) -> bytes:
        raw = optional(self._raw[node])
        if node % 2 == 0:
            return u8(_LEAF) + u32(node // 2) + raw
        below = vec(self.tree_hash(treemath.left(node))) + vec(self.tree_hash(treemath.right(node)))
        return u8(_PARENT) + raw + below

    def tree_hash_without(self, node: int, blanked: frozenset[int]) -> bytes:
        """The tree hash of a node as if these leaves were blank and in no list of unmerged leaves (7.9)."""
        reach = treemath.leaves_below(node)
        if not any(leaf in reach for leaf in blanked):
            return self.tree_hash(node)
        if node % 2 == 0:
            return crypto.sha256(u8(_LEAF) + u32(node // 2) + optional(None))
        parent = self.parent(node)
        raw: bytes | None = None
        if parent is not None:
            kept = tuple(leaf for leaf in parent.unmerged_leaves if leaf not in blanked)
            raw = ParentNode(parent.encryption_key, parent.parent_hash, kept).encode()
        left = self.tree_hash_without(treemath.left(node), blanked)
        right = self.tree_hash_without(treemath.right(node), blanked)
        return crypto.sha256(u8(_PARENT) + optional(raw) + vec(left) + vec(right))

    def parent_hash(self, node: int, copath_child: int) -> bytes:
        """The parent hash of a parent node with this child as sibling (7.9)."""
        parent = self.parent(node)
        if parent is None:
            raise ValueError("a blank node has no parent hash")
        sibling = self.tree_hash_without(copath_child, frozenset(parent.unmerged_leaves))
        return crypto.sha256(vec(parent.encryption_key) + vec(parent.parent_hash) + vec(sibling))

    # Changing

    def _put(self, node: int, raw: bytes | None, parsed: LeafNode | ParentNode | None) -> None:
        self._raw[node] = raw
        self._parsed[node] = parsed
        self._hashes[node] = None
        for above in treemath.direct_path(node, self.leaf_count):
            self._hashes[above] = None

    def put_leaf(self, leaf_index: int, leaf: LeafNode | None) -> None:
        """Replaces a leaf, or blanks it."""
        self._put(2 * leaf_index, None if leaf is None else leaf.raw, leaf)

    def put_parent(self, node: int, parent: ParentNode | None) -> None:
        """Replaces a parent node, or blanks it."""
        self._put(node, None if parent is None else parent.encode(), parent)

    def blank_path(self, leaf_index: int) -> None:
        """Blanks all nodes above a leaf (7.5)."""
        for node in treemath.direct_path(2 * leaf_index, self.leaf_count):
            if self._raw[node] is not None:
                self.put_parent(node, None)

    def add(self, leaf: LeafNode) -> int:
        """Puts a leaf at the leftmost empty place, extending the tree if there is none (12.1.1); its index."""
        leaf_index = next((n // 2 for n in range(0, len(self._raw), 2) if self._raw[n] is None), self.leaf_count)
        if leaf_index == self.leaf_count:
            self._extend()
        for node in treemath.direct_path(2 * leaf_index, self.leaf_count):
            parent = self.parent(node)
            if parent is not None:
                unmerged = tuple(sorted((*parent.unmerged_leaves, leaf_index)))
                self.put_parent(node, ParentNode(parent.encryption_key, parent.parent_hash, unmerged))
        self.put_leaf(leaf_index, leaf)
        return leaf_index

    def update(self, leaf_index: int, leaf: LeafNode) -> None:
        """Applies an Update proposal (12.1.2)."""
        self.put_leaf(leaf_index, leaf)
        self.blank_path(leaf_index)

    def remove(self, leaf_index: int) -> None:
        """Blanks a leaf and its path (12.1.3); the caller truncates after the last Remove."""
        self.put_leaf(leaf_index, None)
        self.blank_path(leaf_index)

    def _extend(self) -> None:
        count = self.leaf_count
        if 2 * count > limits.MAX_LEAVES:
            raise Invalid(f"the tree would have more than {limits.MAX_LEAVES} leaves")
        self._raw += [None] * (2 * count)
        self._parsed += [None] * (2 * count)
        self._hashes += [None] * (2 * count)

    def truncate(self) -> None:
        """Drops right halves without members (7.7)."""
        while len(self._raw) > 1 and self.is_empty_below(treemath.right(self.root)):
            size = (len(self._raw) - 1) // 2
            del self._raw[size:], self._parsed[size:], self._hashes[size:]

    # Encoding

    def encode(self) -> bytes:
        """The `ratchet_tree` vector (12.4.3.3), without the blank nodes at its end."""
        raw = self._raw
        last = max(node for node in range(len(raw)) if raw[node] is not None)
        kinds = (u8(_LEAF), u8(_PARENT))
        return vec_of(optional(None if (node := raw[i]) is None else kinds[i % 2] + node) for i in range(last + 1))


def _parse_node(reader: Reader, is_leaf: bool) -> tuple[bytes, LeafNode | ParentNode] | None:
    if not reader.optional():
        return None
    if reader.u8() != (_LEAF if is_leaf else _PARENT):
        raise DecodeError("a leaf at the place of a parent node, or the other way round (12.4.3.3)")
    if is_leaf:
        leaf = parse_leaf(reader)
        return leaf.raw, leaf
    start = reader.position
    parent = parse_parent(reader)
    return reader.data[start : reader.position], parent


def parse_tree(data: bytes) -> RatchetTree:
    """A tree from its `ratchet_tree` vector. Checks form and size only; `validation.check_tree` does the rest."""
    if len(data) > limits.MAX_TREE_BYTES:
        raise DecodeError(f"a ratchet tree of more than {limits.MAX_TREE_BYTES} bytes")
    outer = Reader(data)
    reader = Reader(outer.vec())
    outer.done()
    nodes: list[tuple[bytes, LeafNode | ParentNode] | None] = []
    while reader.position < reader.end:
        if len(nodes) >= treemath.width(limits.MAX_LEAVES):
            raise DecodeError(f"a ratchet tree of more than {limits.MAX_LEAVES} leaves")
        nodes.append(_parse_node(reader, is_leaf=len(nodes) % 2 == 0))
    if not nodes or nodes[-1] is None:
        raise DecodeError("a ratchet tree that ends in a blank node (12.4.3.3)")
    size = treemath.width(treemath.full_size(len(nodes) // 2 + 1))
    nodes += [None] * (size - len(nodes))
    tree = RatchetTree([None if node is None else node[0] for node in nodes])
    tree._parsed = [None if node is None else node[1] for node in nodes]
    return tree


def tree_of(leaves: Iterable[LeafNode]) -> RatchetTree:
    """A tree of these leaves without parent nodes, for a new group."""
    tree = RatchetTree([None])
    for leaf in leaves:
        tree.add(leaf)
    return tree
