"""What must hold for leaves, key packages, proposal lists and trees; every rule names its section of RFC 9420.

All functions raise `Invalid` with the rule's section in the reason. None looks at a clock except `check_lifetime_now`,
which is for what this member sends: whether a *received* commit counts must not depend on anybody's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protocol.mls import suite as crypto
from protocol.mls import treemath
from protocol.mls.errors import Invalid
from protocol.mls.nodes import (
    CREDENTIAL_X509,
    MLS10,
    SOURCE_KEY_PACKAGE,
    SOURCE_UPDATE,
    Extensions,
    KeyPackage,
    LeafNode,
    RequiredCapabilities,
    required_capabilities,
)
from protocol.mls.proposals import (
    PATH_REQUIRED,
    Add,
    Commit,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKey,
    Proposal,
    ReInit,
    Remove,
    Update,
)
from protocol.mls.schedule import PSK_RESUMPTION, USAGE_APPLICATION, PskId
from protocol.mls.tree import RatchetTree

Listed = tuple[Proposal, int]
"""A proposal and the leaf index of the member who proposed it."""


# Leaves and key packages


def check_leaf(leaf: LeafNode, suite: int) -> None:
    """The rules of section 7.3 that concern one leaf alone, whatever its source."""
    capabilities = leaf.capabilities
    if leaf.credential.kind not in capabilities.credentials:
        raise Invalid("a leaf whose credential type is not in its capabilities (7.2)")
    if MLS10 not in capabilities.versions or suite not in capabilities.suites:
        raise Invalid("a leaf that does not support the group's version or cipher suite (7.2)")
    for kind, _ in leaf.extensions:
        if not capabilities.has_extension(kind):
            raise Invalid("a leaf with an extension that is not in its capabilities (7.3)")
    if leaf.credential.kind == CREDENTIAL_X509:
        raise Invalid("X.509 credentials are not supported (5.3)")
    crypto.check_public_key(leaf.encryption_key)


def check_lifetime_span(leaf: LeafNode, longest_s: int) -> None:
    """A leaf from a key package must not live longer than the application allows (7.2); 0 means no bound."""
    if leaf.lifetime is None:
        return
    not_before, not_after = leaf.lifetime
    if not_after < not_before:
        raise Invalid("a lifetime that ends before it begins (7.2)")
    if longest_s and not_after - not_before > longest_s:
        raise Invalid("a lifetime longer than the group allows (7.2)")


def is_within_lifetime(leaf: LeafNode, now_s: int) -> bool:
    """Whether a leaf may be used at this time, in Unix seconds; only leaves from key packages have a lifetime (7.2)."""
    return leaf.lifetime is None or leaf.lifetime[0] <= now_s <= leaf.lifetime[1]


def check_lifetime_now(leaf: LeafNode, now_s: int) -> None:
    """A leaf that this member is about to send must be within its lifetime (7.3)."""
    if not is_within_lifetime(leaf, now_s):
        raise Invalid("a key package outside its lifetime (7.3)")


def check_key_package(key_package: KeyPackage, suite: int, longest_s: int) -> None:
    """The rules of sections 10 and 10.1."""
    if key_package.suite != suite:
        raise Invalid("a key package of another cipher suite (10.1)")
    leaf = key_package.leaf
    if leaf.source != SOURCE_KEY_PACKAGE:
        raise Invalid("a key package whose leaf does not come from a key package (7.3)")
    check_leaf(leaf, suite)
    check_lifetime_span(leaf, longest_s)
    if key_package.init_key == leaf.encryption_key:
        raise Invalid("a key package whose init key is its leaf's encryption key (10.1)")
    crypto.check_public_key(key_package.init_key)
    leaf.verify(b"", 0)
    key_package.verify()


def check_successor(old: LeafNode, new: LeafNode) -> None:
    """A member's new leaf must present what the old one did (5.3.1, where the application decides what may follow):
    here the same credential and signature key, so a commit cannot change who somebody is."""
    if new.credential != old.credential or new.signature_key != old.signature_key:
        raise Invalid("a leaf that changes its member's credential or signature key (5.3.1)")
    if new.encryption_key == old.encryption_key:
        raise Invalid("a new leaf with the old encryption key (7.3)")


def check_path_leaf(old: LeafNode, new: LeafNode, suite: int) -> None:
    """The committer's leaf in an update path (7.3, 12.4.2); `treekem` checks its source, parent hash and signature."""
    check_leaf(new, suite)
    check_successor(old, new)


# Proposal lists (12.2)


def _check_update(tree: RatchetTree, group_id: bytes, suite: int, update: Update, sender: int) -> None:
    leaf, old = update.leaf, tree.leaf(sender)
    if old is None:
        raise Invalid("an Update by a leaf that is blank (12.1.2)")
    if leaf.source != SOURCE_UPDATE:
        raise Invalid("an Update whose leaf does not come from an update (7.3)")
    check_leaf(leaf, suite)
    check_successor(old, leaf)
    leaf.verify(group_id, sender)


def _check_psk(psk: PskId) -> None:
    if psk.kind == PSK_RESUMPTION and psk.usage != USAGE_APPLICATION:
        raise Invalid("a resumption key for reinitialization or branching in an ordinary commit (12.1.4)")
    if len(psk.nonce) != crypto.HASH_BYTES:
        raise Invalid("a pre-shared key's nonce of a wrong size (12.1.4)")


def check_proposals(
    tree: RatchetTree, group_id: bytes, suite: int, longest_s: int, listed: Sequence[Listed], committer: int
) -> None:
    """The rules of sections 12.1 and 12.2 for the list of a commit by a member."""
    touched: set[int] = set()
    psks: list[PskId] = []
    extensions = 0
    for proposal, sender in listed:
        if isinstance(proposal, Add):
            check_key_package(proposal.key_package, suite, longest_s)
        elif isinstance(proposal, Update | Remove):
            target = sender if isinstance(proposal, Update) else proposal.removed
            if target == committer:
                raise Invalid("a commit that updates or removes its committer by a proposal (12.2)")
            if target in touched:
                raise Invalid("two proposals for the same leaf (12.2)")
            touched.add(target)
            if isinstance(proposal, Update):
                _check_update(tree, group_id, suite, proposal, sender)
            elif tree.raw(2 * target) is None:
                raise Invalid("a Remove of a leaf that is blank (12.1.3)")
        elif isinstance(proposal, PreSharedKey):
            _check_psk(proposal.psk)
            psks.append(proposal.psk)
        elif isinstance(proposal, GroupContextExtensions):
            extensions += 1
        elif isinstance(proposal, ExternalInit):
            raise Invalid("an ExternalInit in a member's commit (12.2)")
        else:
            assert isinstance(proposal, ReInit)
            raise Invalid("ReInit is not supported (12.1.5)")
    if len(set(psks)) != len(psks):
        raise Invalid("the same pre-shared key twice (12.2)")
    if extensions > 1:
        raise Invalid("more than one GroupContextExtensions (12.2)")


def check_path_presence(commit: Commit, listed: Sequence[Listed]) -> None:
    """An empty commit, and one that removes, updates or changes extensions, must have a path (12.4)."""
    required = not listed or any(proposal.kind in PATH_REQUIRED for proposal, _ in listed)
    if required and commit.path is None:
        raise Invalid("a commit without the path that its proposals demand (12.4)")


# Trees


def _check_required(leaf: LeafNode, required: RequiredCapabilities) -> None:
    capabilities = leaf.capabilities
    if (
        not all(capabilities.has_extension(kind) for kind in required.extensions)
        or not all(capabilities.has_proposal(kind) for kind in required.proposals)
        or not all(kind in capabilities.credentials for kind in required.credentials)
    ):
        raise Invalid("a member without the capabilities that the group requires (7.3, 11.1)")


def check_members(leaves: Iterable[LeafNode], extensions: Extensions) -> None:
    """What must hold among the members of a group with these GroupContext extensions (7.3, 11.1, 13.4)."""
    members = list(leaves)
    if len({leaf.signature_key for leaf in members}) != len(members):
        raise Invalid("two members with the same signature key (7.3)")
    required = required_capabilities(extensions)
    kinds = [kind for kind, _ in extensions]
    in_use = {leaf.credential.kind for leaf in members}
    for leaf in members:
        capabilities = leaf.capabilities
        if not in_use.issubset(capabilities.credentials):
            raise Invalid("a member that does not support a credential type in use (7.3)")
        if not all(capabilities.has_extension(kind) for kind in kinds):
            raise Invalid("a member that does not support an extension of the group (13.4)")
        if required is not None:
            _check_required(leaf, required)


def check_keys_unique(tree: RatchetTree) -> None:
    """No encryption key occurs at two nodes (7.3 for leaves, 12.4.3.1 for parents)."""
    keys = tree.encryption_keys()
    if len(set(keys)) != len(keys):
        raise Invalid("two nodes with the same encryption key (7.3, 12.4.3.1)")


def _check_unmerged(tree: RatchetTree) -> None:
    """Unmerged leaves exist, lie below, and are known to every parent in between (12.4.3.1)."""
    for node in range(1, treemath.width(tree.leaf_count), 2):
        parent = tree.parent(node)
        if parent is None:
            continue
        for leaf in parent.unmerged_leaves:
            if not treemath.is_below(2 * leaf, node) or tree.raw(2 * leaf) is None:
                raise Invalid("an unmerged leaf that is blank or not below its node (12.4.3.1)")
            for between in treemath.direct_path(2 * leaf, tree.leaf_count):
                if between == node:
                    break
                middle = tree.parent(between)
                if middle is not None and leaf not in middle.unmerged_leaves:
                    raise Invalid("an unmerged leaf that a node in between does not list (12.4.3.1)")


def _stated_parent_hash(tree: RatchetTree, node: int) -> bytes | None:
    if node % 2:
        parent = tree.parent(node)
        return None if parent is None else parent.parent_hash
    leaf = tree.leaf(node // 2)
    return None if leaf is None else leaf.parent_hash


def _is_linked(tree: RatchetTree, node: int, child: int, sibling: int) -> bool:
    """Whether some node under `child` names this parent by its parent hash (7.9.2)."""
    parent = tree.parent(node)
    assert parent is not None
    expected = tree.parent_hash(node, sibling)
    unmerged = {2 * leaf for leaf in parent.unmerged_leaves if treemath.is_below(2 * leaf, child)}
    resolution = tree.resolution(child)
    if len(unmerged) + 1 != len(resolution):
        return False
    return any(
        _stated_parent_hash(tree, below) == expected and unmerged == set(resolution) - {below} for below in resolution
    )


def check_parent_hashes(tree: RatchetTree) -> None:
    """Every parent node is chained to exactly one descendant, and so to a leaf that signed it (7.9.2)."""
    for node in range(1, treemath.width(tree.leaf_count), 2):
        if tree.raw(node) is None:
            continue
        left, right = treemath.left(node), treemath.right(node)
        if _is_linked(tree, node, left, right) == _is_linked(tree, node, right, left):
            raise Invalid("a parent node that no leaf vouches for by parent hashes (7.9.2)")


def check_tree(tree: RatchetTree, group_id: bytes, suite: int, extensions: Extensions, longest_s: int) -> None:
    """All that a joiner must check of a ratchet tree, except its hash (12.4.3.1, 7.3, 7.9.2)."""
    check_keys_unique(tree)
    _check_unmerged(tree)
    check_parent_hashes(tree)
    leaves = list(tree.leaves())
    check_members((leaf for _, leaf in leaves), extensions)
    for leaf_index, leaf in leaves:
        check_leaf(leaf, suite)
        check_lifetime_span(leaf, longest_s)
        leaf.verify(group_id, leaf_index)
    for node in range(1, treemath.width(tree.leaf_count), 2):
        key = tree.encryption_key(node)
        if key is not None:
            crypto.check_public_key(key)
