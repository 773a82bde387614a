"""Applying a list of proposals to a tree and its GroupContext (RFC 9420 section 12.3), the same for who commits and
who processes; and the step from one epoch to the next (section 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol.mls import limits, schedule, validation
from protocol.mls import suite as crypto
from protocol.mls.errors import Invalid
from protocol.mls.framing import AuthenticatedContent
from protocol.mls.nodes import Extensions, KeyPackage
from protocol.mls.proposals import Add, GroupContextExtensions, PreSharedKey, Remove, Update
from protocol.mls.schedule import GroupContext, PskId, Schedule
from protocol.mls.secrets import SecretTree
from protocol.mls.state import Epoch, Member, NewEpoch, member_of
from protocol.mls.tree import RatchetTree
from protocol.mls.validation import Listed

PskSource = Callable[[PskId], bytes | None]
"""Resolves a pre-shared key by its id; None if it is not known."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a list of proposals does, before any path."""

    tree: RatchetTree
    extensions: Extensions
    added: tuple[tuple[int, KeyPackage], ...]
    removed: tuple[Member, ...]
    psks: tuple[PskId, ...]

    @property
    def new_leaves(self) -> frozenset[int]:
        """The leaf indices of the added members."""
        return frozenset(leaf for leaf, _ in self.added)

    @property
    def added_members(self) -> tuple[Member, ...]:
        """The added members."""
        return tuple(member_of(leaf, key_package.leaf) for leaf, key_package in self.added)

    def added_outside_lifetime(self, now_s: int) -> tuple[Member, ...]:
        """The added members whose key package is outside its lifetime at this time (7.3)."""
        return tuple(
            member_of(leaf, key_package.leaf)
            for leaf, key_package in self.added
            if not validation.is_within_lifetime(key_package.leaf, now_s)
        )


def apply_proposals(epoch: Epoch, listed: Sequence[Listed], committer: int) -> Changes:
    """Validates and applies a proposal list (12.2, 12.3). `Invalid` if it breaks a rule."""
    record = epoch.record
    tree = epoch.tree
    validation.check_proposals(tree, record.group_id, record.suite, record.longest_lifetime_s, listed, committer)
    extensions = epoch.extensions
    for proposal, _ in listed:
        if isinstance(proposal, GroupContextExtensions):
            extensions = proposal.extensions
    tree = tree.copy()
    for proposal, sender in listed:
        if isinstance(proposal, Update):
            tree.update(sender, proposal.leaf)
    removed = tuple(epoch.member(proposal.removed) for proposal, _ in listed if isinstance(proposal, Remove))
    for member in removed:
        tree.remove(member.leaf)
    if removed:
        tree.truncate()
    added = tuple(
        (tree.add(proposal.key_package.leaf), proposal.key_package)
        for proposal, _ in listed
        if isinstance(proposal, Add)
    )
    validation.check_members((leaf for _, leaf in tree.leaves()), extensions)
    validation.check_keys_unique(tree)
    psks = tuple(proposal.psk for proposal, _ in listed if isinstance(proposal, PreSharedKey))
    return Changes(tree, extensions, added, removed, psks)


def provisional_context(epoch: Epoch, extensions: Extensions, tree_hash: bytes) -> GroupContext:
    """The GroupContext that path secrets are encrypted under (12.4.1): new, but for the transcript."""
    old = epoch.group_context
    if old.epoch >= limits.MAX_EPOCH:
        raise Invalid("the epoch number is used up")
    return GroupContext(old.suite, old.group_id, old.epoch + 1, tree_hash, old.confirmed_transcript_hash, extensions)


def resolve_psks(psks: Sequence[PskId], source: PskSource) -> list[tuple[PskId, bytes]]:
    """The values of these pre-shared keys; `Invalid` if one is not known."""
    found: list[tuple[PskId, bytes]] = []
    for psk_id in psks:
        value = source(psk_id)
        if value is None:
            raise Invalid("a pre-shared key that this member does not have (8.4)")
        found.append((psk_id, value))
    return found


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """The step to the next epoch: its context, its schedule, its confirmation tag."""

    context: GroupContext
    schedule: Schedule
    confirmation_tag: bytes
    interim_transcript_hash: bytes


def advance(
    epoch: Epoch, provisional: GroupContext, content: AuthenticatedContent, commit_secret: bytes, psk_secret: bytes
) -> Step:
    """Runs transcript hashes and key schedule for a commit (8, 8.2). `content` need not have its tag yet."""
    confirmed = schedule.confirmed_hash(
        epoch.record.interim_transcript_hash, content.wire_format, content.content, content.signature
    )
    context = GroupContext(
        provisional.suite,
        provisional.group_id,
        provisional.epoch,
        provisional.tree_hash,
        confirmed,
        provisional.extensions,
    )
    encoded = context.encode()
    joiner = schedule.joiner_secret(epoch.record.secrets.init, commit_secret, encoded)
    keys = schedule.from_joiner_secret(joiner, psk_secret, encoded)
    tag = crypto.mac(keys.confirmation_key, confirmed)
    return Step(context, keys, tag, schedule.interim_hash(confirmed, tag))


def next_epoch(epoch: Epoch, step: Step, tree: RatchetTree, privates: dict[int, bytes], keep_past: bool) -> Epoch:
    """The next epoch of the same member. The old one's secrets do not go with it, but for what opens late messages."""
    return NewEpoch(
        context=step.context,
        tree=tree,
        interim_transcript_hash=step.interim_transcript_hash,
        own_leaf=epoch.record.own_leaf,
        privates=privates,
        signature_seed=epoch.record.signature_seed,
        secrets=step.schedule.kept,
        longest_lifetime_s=epoch.record.longest_lifetime_s,
        past=epoch.as_past() if keep_past else None,
    ).build()


def message_keys(epoch: Epoch, encryption_secret: bytes) -> SecretTree:
    """The fresh secret tree of an epoch."""
    return SecretTree.create(epoch.suite, epoch.tree.leaf_count, encryption_secret)
