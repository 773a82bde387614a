"""Making a commit, and the Welcome for those it adds (RFC 9420 section 12.4.1, 12.4.3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from protocol.mls import framing, schedule, validation, welcome
from protocol.mls import suite as crypto
from protocol.mls.changes import (
    Changes,
    PskSource,
    Step,
    advance,
    apply_proposals,
    message_keys,
    next_epoch,
    provisional_context,
    resolve_psks,
)
from protocol.mls.codec import parse_exact
from protocol.mls.errors import BadKeyPackage, Invalid
from protocol.mls.framing import (
    CONTENT_COMMIT,
    SENDER_MEMBER,
    WIRE_PUBLIC,
    AuthenticatedContent,
    PublicMessage,
    Sender,
)
from protocol.mls.keypackages import read_key_package
from protocol.mls.nodes import EXTENSION_RATCHET_TREE, Extensions
from protocol.mls.proposals import Add, Commit, Proposal, Remove, parse_proposal
from protocol.mls.secrets import SecretTree
from protocol.mls.state import Epoch
from protocol.mls.suite import Entropy
from protocol.mls.treekem import NewPath, create_path, surviving_keys
from protocol.mls.treemath import common_ancestor
from protocol.mls.validation import Listed

ExtensionSource = Mapping[int, bytes] | Callable[[bytes], Mapping[int, bytes]]
"""GroupInfo extensions, or a function that makes them from the encoded ratchet tree of the new epoch."""


@dataclass(frozen=True, slots=True, repr=False)
class CommitPlan:
    """What a commit shall do; see `Group.commit`."""

    add: Sequence[bytes]
    remove: Sequence[int]
    more: Sequence[Proposal]
    authenticated_data: bytes
    group_info_extensions: ExtensionSource
    tree_in_welcome: bool
    now_s: int
    padding: int
    wire_format: int
    psks: PskSource


@dataclass(frozen=True, slots=True, repr=False)
class MadeCommit:
    """A commit: the message, the Welcome if anybody is added, the new tree, and the states after it."""

    commit: bytes
    welcome: bytes | None
    ratchet_tree: bytes
    epoch: Epoch
    keys: SecretTree
    spent_keys: SecretTree


def _key_package_proposals(plan: CommitPlan) -> list[Add]:
    """The Adds of a plan; `BadKeyPackage` for one that cannot be read or is out of time."""
    adds: list[Add] = []
    for data in plan.add:
        try:
            key_package = read_key_package(data)
            validation.check_lifetime_now(key_package.leaf, plan.now_s)
        except Invalid as error:
            raise BadKeyPackage(error.reason) from error
        adds.append(Add(key_package))
    return adds


def _list_proposals(epoch: Epoch, plan: CommitPlan) -> tuple[list[Proposal | bytes], list[Listed]]:
    """The proposals of the commit as they are written, and as they are judged (12.4)."""
    own = epoch.record.own_leaf
    written: list[Proposal | bytes] = [pending.ref for pending in epoch.record.proposals]
    listed: list[Listed] = [
        (parse_exact(pending.proposal, parse_proposal), pending.sender) for pending in epoch.record.proposals
    ]
    by_value: list[Proposal] = [*(Remove(leaf) for leaf in plan.remove), *_key_package_proposals(plan)]
    by_value += plan.more
    return [*written, *by_value], [*listed, *((proposal, own) for proposal in by_value)]


def _signed_content(epoch: Epoch, plan: CommitPlan, commit: Commit) -> tuple[AuthenticatedContent, bytes]:
    """The signed content (without its confirmation tag), and the encoded commit."""
    record = epoch.record
    body = commit.encode()
    sender = Sender(SENDER_MEMBER, record.own_leaf)
    content = framing.encode_content(
        record.group_id, record.number, sender, plan.authenticated_data, CONTENT_COMMIT, body
    )
    unsigned = AuthenticatedContent(
        plan.wire_format,
        record.group_id,
        record.number,
        sender,
        plan.authenticated_data,
        CONTENT_COMMIT,
        commit,
        content,
        b"",
        None,
    )
    signature = crypto.sign_with_label(epoch.signing_key, "FramedContentTBS", unsigned.tbs(epoch.context))
    return replace(unsigned, signature=signature), body


def _protected(
    epoch: Epoch, keys: SecretTree, plan: CommitPlan, content: AuthenticatedContent, body: bytes, entropy: Entropy
) -> tuple[bytes, SecretTree]:
    """The message under the old epoch's keys, and those keys without the one it used."""
    if plan.wire_format == WIRE_PUBLIC:
        tag = framing.membership_tag(epoch.record.secrets.membership, content, epoch.context)
        return PublicMessage(content, tag).encode(), keys
    plaintext = body + framing.encode_auth(content.signature, content.confirmation_tag) + bytes(plan.padding)
    return framing.protect(
        keys,
        epoch.record.secrets.sender_data,
        epoch.head,
        epoch.record.own_leaf,
        CONTENT_COMMIT,
        plan.authenticated_data,
        plaintext,
        entropy,
    )


def _group_info_extensions(plan: CommitPlan, encoded_tree: bytes) -> Extensions:
    source = plan.group_info_extensions
    chosen = source(encoded_tree) if callable(source) else source
    if EXTENSION_RATCHET_TREE in chosen:
        raise ValueError("the ratchet_tree extension is set by `tree_in_welcome`")
    extensions: Extensions = tuple(sorted(chosen.items()))
    return (*extensions, (EXTENSION_RATCHET_TREE, encoded_tree)) if plan.tree_in_welcome else extensions


def _seal_welcome(
    epoch: Epoch,
    plan: CommitPlan,
    changes: Changes,
    path: NewPath,
    step: Step,
    encoded_tree: bytes,
    entropy: Entropy,
) -> bytes:
    info = welcome.sign_group_info(
        step.context.encode(),
        _group_info_extensions(plan, encoded_tree),
        step.confirmation_tag,
        epoch.record.own_leaf,
        epoch.signing_key,
    )
    own = 2 * epoch.record.own_leaf
    # The meeting node is on the filtered path: the newcomer is in its copath child's resolution.
    newcomers = [
        (key_package, path.path_secrets[common_ancestor(own, 2 * leaf)]) for leaf, key_package in changes.added
    ]
    return welcome.seal_welcome(
        epoch.suite, info, step.schedule.welcome_secret, step.schedule.joiner_secret, newcomers, changes.psks, entropy
    )


def _refusal(epoch: Epoch, listed: list[Listed], error: Invalid) -> BadKeyPackage | ValueError:
    """Whose fault it is that a list of proposals does not hold: a key package's, if it holds without the Adds."""
    others = [(proposal, sender) for proposal, sender in listed if not isinstance(proposal, Add)]
    if len(others) < len(listed):
        try:
            apply_proposals(epoch, others, epoch.record.own_leaf)
        except Invalid:
            pass
        else:
            return BadKeyPackage(error.reason)
    return ValueError(f"this commit would be void for everybody: {error.reason}")


def make_commit(epoch: Epoch, keys: SecretTree, plan: CommitPlan, entropy: Entropy) -> MadeCommit:
    """A commit with a path (12.4.1). `BadKeyPackage` for a bad Add, ValueError for another plan that breaks a rule."""
    written, listed = _list_proposals(epoch, plan)
    record = epoch.record
    try:
        changes = apply_proposals(epoch, listed, record.own_leaf)
    except Invalid as error:
        raise _refusal(epoch, listed, error) from error
    try:
        psks = resolve_psks(changes.psks, plan.psks)
    except Invalid as error:
        raise ValueError(error.reason) from error
    path = create_path(
        epoch.suite,
        changes.tree,
        record.own_leaf,
        record.group_id,
        epoch.signing_key,
        changes.new_leaves,
        lambda tree_hash: provisional_context(epoch, changes.extensions, tree_hash).encode(),
        entropy,
    )
    content, body = _signed_content(epoch, plan, Commit(tuple(written), path.path))
    provisional = provisional_context(epoch, changes.extensions, path.tree.tree_hash())
    step = advance(epoch, provisional, content, path.commit_secret, schedule.psk_secret(psks))
    content = replace(content, confirmation_tag=step.confirmation_tag)
    message, spent = _protected(epoch, keys, plan, content, body, entropy)
    privates = surviving_keys(record.privates, epoch.tree, path.tree) | path.privates
    following = next_epoch(epoch, step, path.tree, privates, keep_past=not changes.removed)
    encoded_tree = path.tree.encode()
    sealed = None
    if changes.added:
        sealed = _seal_welcome(epoch, plan, changes, path, step, encoded_tree, entropy)
    fresh = message_keys(following, step.schedule.encryption_secret)
    return MadeCommit(message, sealed, encoded_tree, following, fresh, spent)
