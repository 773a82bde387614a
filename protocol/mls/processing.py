"""Processing what others sent in the group: commits, and proposals on their own (RFC 9420 section 12.4.2, 12.1).

The order matters: all checks that every member can make alike come before this member's own path secret is decrypted,
so a commit that others find void is void here too, and `CannotOpen` is left for what concerns this member alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.mls import framing, limits, schedule, validation
from protocol.mls import suite as crypto
from protocol.mls.changes import (
    Changes,
    PskSource,
    advance,
    apply_proposals,
    message_keys,
    next_epoch,
    provisional_context,
    resolve_psks,
)
from protocol.mls.codec import parse_exact
from protocol.mls.errors import CannotOpen, Invalid, StaleMessage, VoidCommit
from protocol.mls.framing import (
    CONTENT_COMMIT,
    CONTENT_PROPOSAL,
    SENDER_MEMBER,
    AuthenticatedContent,
    PrivateMessage,
    PublicMessage,
)
from protocol.mls.proposals import Commit, encode_proposal, parse_proposal
from protocol.mls.secrets import KeyConsumed, SecretTree
from protocol.mls.state import Epoch, Member, PendingProposal
from protocol.mls.suite import ZERO_SECRET, proposal_ref
from protocol.mls.tree import RatchetTree
from protocol.mls.treekem import OpenedPath, merge_path, open_path, surviving_keys
from protocol.mls.validation import Listed


@dataclass(frozen=True, slots=True, repr=False)
class Processed:
    """What a commit did, and the states after it. Where this member is removed there is no next state."""

    epoch: Epoch
    keys: SecretTree
    committer: Member
    added: tuple[Member, ...]
    removed: tuple[Member, ...]
    removed_self: bool
    out_of_time: tuple[Member, ...]


def open_handshake(
    epoch: Epoch, keys: SecretTree, data: bytes, authenticated_data: bytes | None
) -> tuple[AuthenticatedContent, SecretTree]:
    """Unprotects and verifies a message of a member in this epoch, and gives the keys after it.

    `authenticated_data` must equal the message's, unless it is None. `Invalid`, or `StaleMessage` for another epoch.
    """
    message = framing.parse_handshake_or_application(data)
    public = isinstance(message, PublicMessage)
    header = message.authenticated if isinstance(message, PublicMessage) else message
    if header.group_id != epoch.record.group_id:
        raise Invalid("a message of another group (6)")
    if header.epoch != epoch.record.number:
        raise StaleMessage(f"a message of epoch {header.epoch} in epoch {epoch.record.number}")
    if authenticated_data is not None and header.authenticated_data != authenticated_data:
        raise Invalid("authenticated_data is not what the caller states (6.3.1)")
    if public:
        assert isinstance(message, PublicMessage)
        content = framing.open_public(message, epoch.record.secrets.membership, epoch.context)
    else:
        assert isinstance(message, PrivateMessage)
        content, keys = open_private(epoch, keys, message)
    if content.sender.kind != SENDER_MEMBER:
        raise Invalid("a message from outside the group (external senders and commits are not supported, 12.4.3.2)")
    content.verify(epoch.member(content.sender.index).signature_key, epoch.context)
    return content, keys


def open_private(epoch: Epoch, keys: SecretTree, message: PrivateMessage) -> tuple[AuthenticatedContent, SecretTree]:
    """Decrypts a private message of this epoch; its signature is not checked here."""
    leaf, generation, guard = framing.open_sender_data(epoch.suite, epoch.record.secrets.sender_data, message)
    epoch.member(leaf)
    plaintext, after = framing.unprotect(keys, message, leaf, generation, guard)
    return framing.parse_private_content(message, leaf, plaintext), after


def _resolve(epoch: Epoch, commit: Commit, committer: int) -> list[Listed]:
    """The commit's proposals with their senders (12.4)."""
    pending = {item.ref: item for item in epoch.record.proposals}
    listed: list[Listed] = []
    for item in commit.proposals:
        if not isinstance(item, bytes):
            listed.append((item, committer))
            continue
        found = pending.pop(item, None)
        if found is None:
            raise Invalid("a reference to a proposal that is not known, or named twice (12.4)")
        listed.append((parse_exact(found.proposal, parse_proposal), found.sender))
    return listed


@dataclass(frozen=True, slots=True)
class _Checked:
    """A commit that passed all checks which every member can make, short of the confirmation tag."""

    content: AuthenticatedContent
    commit: Commit
    changes: Changes
    merged: RatchetTree


def _check(epoch: Epoch, keys: SecretTree, data: bytes, authenticated_data: bytes) -> _Checked:
    content, _ = open_handshake(epoch, keys, data, authenticated_data)
    commit = content.body
    if content.content_type != CONTENT_COMMIT or not isinstance(commit, Commit):
        raise Invalid("not a commit")
    committer = content.sender.index
    listed = _resolve(epoch, commit, committer)
    changes = apply_proposals(epoch, listed, committer)
    validation.check_path_presence(commit, listed)
    merged = changes.tree
    if commit.path is not None:
        old = changes.tree.leaf(committer)
        assert old is not None
        validation.check_path_leaf(old, commit.path.leaf, epoch.record.suite)
        merged = merge_path(changes.tree, committer, commit.path, epoch.record.group_id, changes.new_leaves)
        validation.check_members((leaf for _, leaf in merged.leaves()), changes.extensions)
    return _Checked(content, commit, changes, merged)


def _own_path(epoch: Epoch, checked: _Checked, privates: dict[int, bytes], context: bytes) -> OpenedPath:
    path = checked.commit.path
    if path is None:
        return OpenedPath({}, b"", ZERO_SECRET)
    return open_path(
        epoch.suite,
        checked.changes.tree,
        checked.merged,
        checked.content.sender.index,
        epoch.record.own_leaf,
        privates,
        path,
        checked.changes.new_leaves,
        context,
    )


def process_commit(
    epoch: Epoch, keys: SecretTree, data: bytes, authenticated_data: bytes, now_s: int, psks: PskSource
) -> Processed:
    """Applies a commit of another member. Raises `VoidCommit`, `CannotOpen` or `StaleMessage`."""
    try:
        checked = _check(epoch, keys, data, authenticated_data)
        provisional = provisional_context(epoch, checked.changes.extensions, checked.merged.tree_hash())
    except KeyConsumed as error:
        raise CannotOpen(error.reason) from error
    except Invalid as error:
        raise VoidCommit(error.reason) from error
    if checked.content.sender.index == epoch.record.own_leaf:
        raise CannotOpen("a commit of this member's own: only the state that was made with it follows it")
    changes = checked.changes
    committer = epoch.member(checked.content.sender.index)
    late = changes.added_outside_lifetime(now_s)
    if any(member.leaf == epoch.record.own_leaf for member in changes.removed):
        return Processed(epoch, keys, committer, changes.added_members, changes.removed, True, late)
    privates = surviving_keys(epoch.record.privates, epoch.tree, changes.tree)
    try:
        opened = _own_path(epoch, checked, privates, provisional.encode())
        psk_secret = schedule.psk_secret(resolve_psks(changes.psks, psks))
    except Invalid as error:
        raise CannotOpen(error.reason) from error
    step = advance(epoch, provisional, checked.content, opened.commit_secret, psk_secret)
    tag = checked.content.confirmation_tag
    if tag is None or not crypto.same(step.confirmation_tag, tag):
        raise VoidCommit("the confirmation tag does not match (6.1)")
    merged = checked.merged
    kept = surviving_keys(privates, changes.tree, merged) | opened.privates
    following = next_epoch(epoch, step, merged, kept, keep_past=not changes.removed)
    fresh = message_keys(following, step.schedule.encryption_secret)
    return Processed(following, fresh, committer, changes.added_members, changes.removed, False, late)


def receive_proposal(epoch: Epoch, keys: SecretTree, data: bytes) -> tuple[Epoch, SecretTree]:
    """Keeps a proposal that a member sent on its own, for a commit that refers to it (12.1).

    `Invalid` or `StaleMessage` if it does not count.
    """
    content, keys = open_handshake(epoch, keys, data, None)
    if content.content_type != CONTENT_PROPOSAL or isinstance(content.body, bytes | Commit):
        raise Invalid("not a proposal")
    if len(epoch.record.proposals) >= limits.MAX_PENDING_PROPOSALS:
        raise Invalid(f"more than {limits.MAX_PENDING_PROPOSALS} proposals wait in this epoch")
    ref = proposal_ref(content.encode())
    pending = PendingProposal(ref, content.sender.index, encode_proposal(content.body))
    if any(item.ref == ref for item in epoch.record.proposals):
        raise Invalid("this proposal is known already")
    return epoch.with_proposals((*epoch.record.proposals, pending)), keys


def open_application(
    member_of: Callable[[int], Member], context: bytes, sender_data: bytes, keys: SecretTree, message: PrivateMessage
) -> tuple[Member, AuthenticatedContent, int, SecretTree]:
    """Opens and verifies a private message with the keys of its epoch: (sender, content, generation, keys after).

    `Invalid` if it does not open or verify."""
    leaf, generation, guard = framing.open_sender_data(keys.suite, sender_data, message)
    sender = member_of(leaf)
    plaintext, after = framing.unprotect(keys, message, leaf, generation, guard)
    content = framing.parse_private_content(message, leaf, plaintext)
    content.verify(sender.signature_key, context)
    return sender, content, generation, after
