"""Update paths: fresh keys from a leaf to the root, told to everybody else (RFC 9420 sections 7.4 to 7.6, 7.9).

Applying a path is split in two, on purpose. `merge_path` makes every check that all members can make alike; a failure
there voids the commit for everybody. `open_path` decrypts this member's own path secret; only there can one member
fail where another succeeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocol.mls import hpke, treemath
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, u32, vec, vec_of
from protocol.mls.errors import Invalid
from protocol.mls.nodes import SOURCE_COMMIT, LeafNode, ParentNode, leaf_tbs, parse_leaf, sign_leaf
from protocol.mls.suite import Entropy, Suite
from protocol.mls.tree import RatchetTree

_LABEL = "UpdatePathNode"


@dataclass(frozen=True, slots=True)
class PathNode:
    """A new public key and its path secret, encrypted once for each node of the copath child's resolution."""

    encryption_key: bytes
    secrets: tuple[tuple[bytes, bytes], ...]
    """(KEM output, ciphertext)"""

    def encode(self) -> bytes:
        """The UpdatePathNode structure."""
        return vec(self.encryption_key) + vec_of(vec(kem) + vec(data) for kem, data in self.secrets)


@dataclass(frozen=True, slots=True)
class UpdatePath:
    """A committer's new leaf and the nodes of its filtered direct path, from the leaf up."""

    leaf: LeafNode
    nodes: tuple[PathNode, ...]

    def encode(self) -> bytes:
        """The UpdatePath structure."""
        return self.leaf.raw + vec_of(node.encode() for node in self.nodes)


def parse_hpke_ciphertext(reader: Reader) -> tuple[bytes, bytes]:
    """An HPKECiphertext: (KEM output, ciphertext)."""
    return reader.vec(), reader.vec()


def parse_update_path(reader: Reader) -> UpdatePath:
    """An UpdatePath."""
    leaf = parse_leaf(reader)
    return UpdatePath(leaf, reader.items(lambda r: PathNode(r.vec(), r.items(parse_hpke_ciphertext))))


@dataclass(frozen=True, slots=True, repr=False)
class NewPath:
    """A path that this member made: what to send, what to keep, and what new members must be told."""

    path: UpdatePath
    tree: RatchetTree
    privates: dict[int, bytes]
    path_secrets: dict[int, bytes]
    commit_secret: bytes


def derive_path(first: bytes, count: int) -> tuple[list[bytes], bytes]:
    """`count` path secrets from the first one on, and the commit secret that follows the last (7.4)."""
    secrets = [first]
    for _ in range(count):
        secrets.append(crypto.derive_secret(secrets[-1], "path"))
    return secrets[:count], secrets[count]


def node_key_pair(path_secret: bytes) -> tuple[bytes, bytes]:
    """(private, public) of the node that a path secret belongs to (7.4)."""
    return hpke.derive_key_pair(crypto.derive_secret(path_secret, "node"))


def _set_path_keys(tree: RatchetTree, sender: int, keys: list[bytes]) -> bytes:
    """Blanks the sender's direct path, sets the new keys with their parent hashes from the root down; returns the
    parent hash for the sender's leaf (7.5, 7.9)."""
    filtered = tree.filtered_direct_path(sender)
    tree.blank_path(sender)
    parent_hash = b""
    for (node, copath_child), key in zip(reversed(filtered), reversed(keys), strict=True):
        tree.put_parent(node, ParentNode(key, parent_hash, ()))
        parent_hash = tree.parent_hash(node, copath_child)
    return parent_hash


def _recipients(tree: RatchetTree, copath_child: int, new_leaves: frozenset[int]) -> list[int]:
    """The copath child's resolution without members that this very commit adds (7.5)."""
    return [n for n in tree.resolution(copath_child) if n % 2 or n // 2 not in new_leaves]


def create_path(
    suite: Suite,
    tree: RatchetTree,
    sender: int,
    group_id: bytes,
    signing_key: bytes,
    new_leaves: frozenset[int],
    context_of: Callable[[bytes], bytes],
    entropy: Entropy,
) -> NewPath:
    """A fresh path for `sender` over `tree` (proposals already applied; the argument is left as it is).

    `context_of` gives the encoded provisional GroupContext for a tree hash. ValueError if the sender's leaf is blank.
    """
    old = tree.leaf(sender)
    if old is None:
        raise ValueError(f"leaf {sender} is blank")
    tree = tree.copy()
    filtered = tree.filtered_direct_path(sender)
    secrets, commit_secret = derive_path(entropy(crypto.HASH_BYTES), len(filtered))
    pairs = [node_key_pair(secret) for secret in secrets]
    recipients = [_recipients(tree, copath_child, new_leaves) for _, copath_child in filtered]
    leaf_private, leaf_public = hpke.derive_key_pair(entropy(crypto.HASH_BYTES))
    parent_hash = _set_path_keys(tree, sender, [public for _, public in pairs])
    tbs = leaf_tbs(
        leaf_public,
        old.signature_key,
        old.credential,
        old.capabilities,
        SOURCE_COMMIT,
        old.extensions,
        parent_hash=parent_hash,
    )
    leaf = sign_leaf(tbs, signing_key, vec(group_id) + u32(sender))
    tree.put_leaf(sender, leaf)
    context = context_of(tree.tree_hash())

    def encrypt(node: int, secret: bytes) -> tuple[bytes, bytes]:
        public = tree.encryption_key(node)
        assert public is not None
        return hpke.encrypt_with_label(suite, public, _LABEL, context, secret, entropy(crypto.KEY_BYTES))

    nodes = tuple(
        PathNode(public, tuple(encrypt(node, secret) for node in targets))
        for (_, public), secret, targets in zip(pairs, secrets, recipients, strict=True)
    )
    numbers = [node for node, _ in filtered]
    privates = {2 * sender: leaf_private}
    privates.update((node, private) for node, (private, _) in zip(numbers, pairs, strict=True))
    path_secrets = dict(zip(numbers, secrets, strict=True))
    return NewPath(UpdatePath(leaf, nodes), tree, privates, path_secrets, commit_secret)


def merge_path(
    tree: RatchetTree, sender: int, path: UpdatePath, group_id: bytes, new_leaves: frozenset[int]
) -> RatchetTree:
    """The tree with a received path in it (7.5, 7.9.2, 12.4.2). `Invalid` where any member would refuse it."""
    tree = tree.copy()
    filtered = tree.filtered_direct_path(sender)
    if len(filtered) != len(path.nodes):
        raise Invalid("the path has not one node for each of the sender's filtered direct path (7.6)")
    taken = set(tree.encryption_keys())
    for key in (path.leaf.encryption_key, *(node.encryption_key for node in path.nodes)):
        if key in taken:
            raise Invalid("a public key of the path is already in the tree (12.4.2)")
        crypto.check_public_key(key)
        taken.add(key)
    for (_, copath_child), node in zip(filtered, path.nodes, strict=True):
        if len(node.secrets) != len(_recipients(tree, copath_child, new_leaves)):
            raise Invalid("a path node has not one ciphertext for each node of the resolution (7.6)")
    expected = _set_path_keys(tree, sender, [node.encryption_key for node in path.nodes])
    if path.leaf.source != SOURCE_COMMIT:
        raise Invalid("the leaf of the path does not come from a commit (12.4.2)")
    if path.leaf.parent_hash != expected:
        raise Invalid("the parent hash of the path's leaf does not match (7.9.2)")
    path.leaf.verify(group_id, sender)
    tree.put_leaf(sender, path.leaf)
    return tree


@dataclass(frozen=True, slots=True, repr=False)
class OpenedPath:
    """What a received path gave this member: its new private keys and the commit secret."""

    privates: dict[int, bytes]
    path_secret: bytes
    commit_secret: bytes


def open_path(
    suite: Suite,
    before: RatchetTree,
    merged: RatchetTree,
    sender: int,
    own_leaf: int,
    privates: Mapping[int, bytes],
    path: UpdatePath,
    new_leaves: frozenset[int],
    context: bytes,
) -> OpenedPath:
    """Decrypts this member's path secret and derives the keys above it (7.5). `Invalid` if it does not open, or does
    not give the public keys that the path states.

    `before` is the tree with proposals applied and without the path, `merged` the one with it; `privates` are this
    member's private keys by node, `context` the encoded provisional GroupContext.
    """
    filtered = before.filtered_direct_path(sender)
    at = next(i for i, (_, child) in enumerate(filtered) if treemath.is_below(2 * own_leaf, child))
    targets = _recipients(before, filtered[at][1], new_leaves)
    position = next((i for i, node in enumerate(targets) if node in privates), None)
    if position is None:
        raise Invalid("no private key for any node that the path secret is encrypted to")
    kem_output, ciphertext = path.nodes[at].secrets[position]
    first = hpke.decrypt_with_label(suite, privates[targets[position]], _LABEL, context, kem_output, ciphertext)
    if len(first) != crypto.HASH_BYTES:
        raise Invalid("a path secret of a wrong size")
    nodes = [node for node, _ in filtered[at:]]
    found, commit_secret = derive_node_keys(merged, nodes, first)
    return OpenedPath(found, first, commit_secret)


def derive_node_keys(tree: RatchetTree, nodes: list[int], first: bytes) -> tuple[dict[int, bytes], bytes]:
    """Private keys of `nodes` from the first one's path secret, each checked against the tree; and the commit secret.

    `Invalid` if a derived public key is not the one in the tree (7.5).
    """
    secrets, commit_secret = derive_path(first, len(nodes))
    privates: dict[int, bytes] = {}
    for node, secret in zip(nodes, secrets, strict=True):
        private, public = node_key_pair(secret)
        if tree.encryption_key(node) != public:
            raise Invalid("a path secret does not give the public key stated for its node (7.5)")
        privates[node] = private
    return privates, commit_secret


def surviving_keys(privates: Mapping[int, bytes], before: RatchetTree, after: RatchetTree) -> dict[int, bytes]:
    """The private keys whose nodes a commit left as they were; the others are outdated and dropped (7.5)."""
    return {
        node: private
        for node, private in privates.items()
        if (key := after.encryption_key(node)) is not None and key == before.encryption_key(node)
    }
