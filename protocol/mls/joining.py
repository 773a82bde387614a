"""Starting a group, and joining one by a Welcome (RFC 9420 sections 11 and 12.4.3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.mls import keypackages, limits, schedule, validation, welcome
from protocol.mls import suite as crypto
from protocol.mls.changes import PskSource, message_keys, resolve_psks
from protocol.mls.errors import Invalid
from protocol.mls.nodes import EXTENSION_RATCHET_TREE, Extensions, KeyPackage, extension
from protocol.mls.schedule import GroupContext, Schedule
from protocol.mls.secrets import SecretTree
from protocol.mls.state import Epoch, NewEpoch
from protocol.mls.suite import Entropy, Suite
from protocol.mls.tree import RatchetTree, parse_tree, tree_of
from protocol.mls.treekem import derive_node_keys
from protocol.mls.treemath import common_ancestor, direct_path
from protocol.mls.welcome import GroupInfo, GroupSecrets


def create_group(
    *,
    group_id: bytes,
    identity: bytes,
    signature_private: bytes,
    suite: int,
    lifetime: tuple[int, int],
    extensions: Sequence[tuple[int, bytes]],
    longest_lifetime_s: int,
    entropy: Entropy,
) -> tuple[Epoch, SecretTree]:
    """A group of one member at epoch 0 (11). ValueError for arguments out of range."""
    chosen = crypto.SUITES.get(suite)
    if chosen is None:
        raise ValueError(f"cipher suite {suite} is not one of {sorted(crypto.SUITES)}")
    if len(group_id) > limits.MAX_GROUP_ID_BYTES:
        raise ValueError(f"a group id has at most {limits.MAX_GROUP_ID_BYTES} bytes")
    kinds = [kind for kind, _ in extensions]
    if len(set(kinds)) != len(kinds):
        raise ValueError("an extension type occurs twice")
    leaf, private = keypackages.make_leaf(
        identity=identity,
        signing_key=crypto.signing_key(signature_private),
        lifetime=lifetime,
        extension_types=kinds,
        entropy=entropy,
    )
    tree = tree_of([leaf])
    context = GroupContext(suite, group_id, 0, tree.tree_hash(), b"", tuple(extensions))
    keys = schedule.from_epoch_secret(entropy(crypto.HASH_BYTES))
    tag = crypto.mac(keys.confirmation_key, b"")
    epoch = NewEpoch(
        context=context,
        tree=tree,
        interim_transcript_hash=schedule.interim_hash(b"", tag),
        own_leaf=0,
        privates={0: private},
        signature_seed=signature_private,
        secrets=keys.kept,
        longest_lifetime_s=longest_lifetime_s,
    ).build()
    return epoch, message_keys(epoch, keys.encryption_secret)


@dataclass(frozen=True, slots=True, repr=False)
class OpenedWelcome:
    """A Welcome decrypted for one key package; nothing in it is verified yet (that takes the tree)."""

    suite: Suite
    key_package: KeyPackage
    leaf_private: bytes
    secrets: GroupSecrets
    psk_secret: bytes
    info: GroupInfo


def open_welcome(data: bytes, key_package: bytes, key_package_private: bytes, psks: PskSource) -> OpenedWelcome:
    """Decrypts a Welcome. `Invalid` if it is not for this key package or does not open."""
    package = keypackages.read_key_package(key_package)
    init_private, leaf_private = keypackages.decode_private(key_package_private)
    if crypto.public_key(init_private) != package.init_key:
        raise Invalid("private keys of another key package")
    parsed = welcome.parse_welcome(data)
    if parsed.suite != package.suite:
        raise Invalid("a Welcome of another cipher suite than the key package (12.4.3.1)")
    suite = crypto.suite_of(parsed.suite)
    secrets = welcome.open_group_secrets(suite, parsed, package.ref, init_private)
    for psk in secrets.psks:
        if psk.kind == schedule.PSK_RESUMPTION and psk.usage != schedule.USAGE_APPLICATION:
            raise Invalid("a Welcome to a reinitialized group or a branch is not supported (12.4.3.1)")
    psk_secret = schedule.psk_secret(resolve_psks(secrets.psks, psks))
    info = welcome.open_group_info(suite, parsed, secrets.joiner_secret, psk_secret)
    if info.context.suite != parsed.suite:
        raise Invalid("a GroupInfo of another cipher suite than its Welcome (12.4.3.1)")
    return OpenedWelcome(suite, package, leaf_private, secrets, psk_secret, info)


def _tree_of(info: GroupInfo, given: bytes | None) -> RatchetTree:
    """The ratchet tree, from the caller or from the GroupInfo; it must have the hash that the context states."""
    data = extension(info.extensions, EXTENSION_RATCHET_TREE) if given is None else given
    if data is None:
        raise Invalid("the ratchet tree is neither in the Welcome nor given (12.4.3.3)")
    tree = parse_tree(data)
    if tree.tree_hash() != info.context.tree_hash:
        raise Invalid("the ratchet tree has not the hash that the GroupInfo states (12.4.3.1)")
    return tree


def _check_group(opened: OpenedWelcome, tree: RatchetTree, longest_lifetime_s: int) -> int:
    """Verifies GroupInfo and tree (12.4.3.1); this member's leaf index."""
    info, context, own = opened.info, opened.info.context, opened.key_package.leaf
    signer = tree.signature_key(info.signer)
    if signer is None:
        raise Invalid("a GroupInfo whose signer's leaf is blank (12.4.3.1)")
    info.verify(signer)
    validation.check_tree(tree, context.group_id, context.suite, context.extensions, longest_lifetime_s)
    # That the own leaf supports the group's extensions (13.4) follows: all leaves of the tree were checked for it.
    own_leaf = next((leaf for leaf in tree.members() if tree.raw(2 * leaf) == own.raw), None)
    if own_leaf is None:
        raise Invalid("a tree without this key package's leaf (12.4.3.1)")
    if own_leaf == info.signer:
        raise Invalid("a Welcome signed with this member's own leaf (12.4.3.1)")
    if crypto.public_key(opened.leaf_private) != own.encryption_key:
        raise Invalid("private keys of another key package")
    return own_leaf


def _private_keys(opened: OpenedWelcome, tree: RatchetTree, own_leaf: int) -> dict[int, bytes]:
    """The joiner's private keys: its leaf's, and those from the path secret up to the root (12.4.3.1)."""
    privates = {2 * own_leaf: opened.leaf_private}
    path_secret = opened.secrets.path_secret
    if path_secret is None:
        return privates
    if len(path_secret) != crypto.HASH_BYTES:
        raise Invalid("a path secret of a wrong size")
    meeting = common_ancestor(2 * own_leaf, 2 * opened.info.signer)
    above = [meeting, *direct_path(meeting, tree.leaf_count)]
    nodes = [node for node in above if tree.raw(node) is not None]
    if not nodes or nodes[0] != meeting:
        raise Invalid("a path secret for a node that is blank (12.4.3.1)")
    found, _ = derive_node_keys(tree, nodes, path_secret)
    return privates | found


def _confirmed_schedule(opened: OpenedWelcome) -> Schedule:
    """The epoch's secrets, if they agree with the GroupInfo's confirmation tag."""
    info = opened.info
    keys = schedule.from_joiner_secret(opened.secrets.joiner_secret, opened.psk_secret, info.context_raw)
    tag = crypto.mac(keys.confirmation_key, info.context.confirmed_transcript_hash)
    if not crypto.same(tag, info.confirmation_tag):
        raise Invalid("the GroupInfo's confirmation tag does not match (12.4.3.1)")
    return keys


def own_extensions(info: GroupInfo) -> Extensions:
    """The GroupInfo's extensions without the tree."""
    return tuple((kind, data) for kind, data in info.extensions if kind != EXTENSION_RATCHET_TREE)


def join_group(
    opened: OpenedWelcome, signature_private: bytes, ratchet_tree: bytes | None, now_s: int, longest_lifetime_s: int
) -> tuple[Epoch, SecretTree]:
    """The state of a new member (12.4.3.1). `Invalid` for whatever does not hold.

    `now_s` is only compared with the end of this client's own key package, whose private keys should be gone by then;
    leaves of others may have expired meanwhile without fault (7.3).
    """
    info = opened.info
    lifetime = opened.key_package.leaf.lifetime
    if lifetime is None or now_s > lifetime[1]:
        raise Invalid("the key package had expired (7.3)")
    if crypto.public_of(crypto.signing_key(signature_private)) != opened.key_package.leaf.signature_key:
        raise Invalid("a signature key of another key package")
    tree = _tree_of(info, ratchet_tree)
    own_leaf = _check_group(opened, tree, longest_lifetime_s)
    privates = _private_keys(opened, tree, own_leaf)
    keys = _confirmed_schedule(opened)
    epoch = NewEpoch(
        context=info.context,
        tree=tree,
        interim_transcript_hash=schedule.interim_hash(info.context.confirmed_transcript_hash, info.confirmation_tag),
        own_leaf=own_leaf,
        privates=privates,
        signature_seed=signature_private,
        secrets=keys.kept,
        longest_lifetime_s=longest_lifetime_s,
        group_info_extensions=own_extensions(info),
    ).build()
    return epoch, message_keys(epoch, keys.encryption_secret)
