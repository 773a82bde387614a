"""The state of a member in a group: what an epoch consists of, and how it is stored.

Two parts, because they change at different rates. The *epoch part* (tree, context, epoch secrets, own private keys)
changes with commits and is as large as the tree; the *ratchet part* (the secret tree) changes with every message and is
small. An `Epoch` encodes itself once and hands out the same bytes object until the next commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from protocol.mls import framing, schedule
from protocol.mls import suite as crypto
from protocol.mls.codec import u8, u16, u32, u64, vec
from protocol.mls.errors import Invalid
from protocol.mls.framing import SENDER_MEMBER, WIRE_PRIVATE
from protocol.mls.nodes import MLS10, Extensions, LeafNode
from protocol.mls.schedule import EpochSecrets, GroupContext
from protocol.mls.secrets import SecretTree, SecretTreeParts
from protocol.mls.suite import Suite
from protocol.mls.tree import RatchetTree

FORMAT = 1
"""Version of the stored form; another one is refused."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group: leaf index, identity (basic credential), Ed25519 public key (32 bytes)."""

    leaf: int
    identity: bytes
    signature_key: bytes


class _Hidden:
    """A repr that gives nothing away."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class PendingProposal(msgspec.Struct, frozen=True, array_like=True):
    """A proposal that was received on its own and may be committed by reference in this epoch."""

    ref: bytes
    sender: int
    proposal: bytes


class Past(_Hidden, msgspec.Struct, frozen=True, array_like=True):
    """What it takes to open late messages of the epoch before: never enough to send in it, or to go back to it."""

    number: int
    context: bytes
    sender_data: bytes
    roster: tuple[tuple[int, bytes, bytes], ...]

    def member(self, leaf: int) -> Member:
        """The member who had this leaf; `Invalid` if there was none."""
        for index, identity, key in self.roster:
            if index == leaf:
                return Member(index, identity, key)
        raise Invalid("a sender whose leaf was blank (6.3.2)")


class EpochRecord(_Hidden, msgspec.Struct, frozen=True, array_like=True):
    """An epoch as it is stored."""

    format: int
    suite: int
    group_id: bytes
    number: int
    tree: list[bytes | None]
    context: bytes
    interim_transcript_hash: bytes
    own_leaf: int
    privates: dict[int, bytes]
    signature_seed: bytes
    secrets: EpochSecrets
    longest_lifetime_s: int
    proposals: tuple[PendingProposal, ...] = ()
    group_info_extensions: tuple[tuple[int, bytes], ...] = ()
    past: Past | None = None


class RatchetRecord(_Hidden, msgspec.Struct, frozen=True, array_like=True):
    """The message keys as they are stored, with the epoch that they belong to."""

    number: int
    current: SecretTreeParts
    past: SecretTreeParts | None


_encode_epoch = msgspec.msgpack.Encoder().encode
_decode_epoch = msgspec.msgpack.Decoder(EpochRecord).decode
_decode_ratchets = msgspec.msgpack.Decoder(RatchetRecord).decode


class Epoch:
    """One epoch as one member knows it. Immutable; the slots with an underscore only remember what was computed."""

    __slots__ = (
        "_encoded",
        "_group_context",
        "_members",
        "_roster",
        "context",
        "head",
        "record",
        "signing_key",
        "suite",
        "tbs_head",
        "tree",
    )

    def __init__(self, record: EpochRecord, tree: RatchetTree | None = None, encoded: bytes | None = None) -> None:
        self.record = record
        self.suite: Suite = crypto.suite_of(record.suite)
        self.tree = RatchetTree(record.tree) if tree is None else tree
        self.context = record.context
        self.signing_key = crypto.signing_key(record.signature_seed)
        self.head = framing.private_head(record.group_id, record.number)
        sender = u8(SENDER_MEMBER) + u32(record.own_leaf)
        # FramedContentTBS of own private messages up to authenticated_data (6.1).
        self.tbs_head = u16(MLS10) + u16(WIRE_PRIVATE) + vec(record.group_id) + u64(record.number) + sender
        self._encoded = encoded
        self._group_context: GroupContext | None = None
        self._members: dict[int, Member] = {}
        self._roster: tuple[Member, ...] | None = None

    @property
    def group_context(self) -> GroupContext:
        """The parsed GroupContext."""
        if self._group_context is None:
            self._group_context = schedule.decode_group_context(self.context)
        return self._group_context

    @property
    def extensions(self) -> Extensions:
        """The extensions of the GroupContext."""
        return self.group_context.extensions

    def member(self, leaf_index: int) -> Member:
        """The member at a leaf; `Invalid` if the leaf is blank or beyond the tree."""
        found = self._members.get(leaf_index)
        if found is None:
            leaf = self.tree.leaf(leaf_index)
            if leaf is None:
                raise Invalid("a sender whose leaf is blank (6.3.2)")
            found = self._members[leaf_index] = member_of(leaf_index, leaf)
        return found

    @property
    def members(self) -> tuple[Member, ...]:
        """All members, by leaf index."""
        if self._roster is None:
            self._roster = tuple(self.member(leaf) for leaf in self.tree.members())
        return self._roster

    def encode(self) -> bytes:
        """The stored form; the same object each time."""
        if self._encoded is None:
            self._encoded = _encode_epoch(self.record)
        return self._encoded

    def with_proposals(self, proposals: Iterable[PendingProposal]) -> Epoch:
        """The same epoch with these pending proposals."""
        return Epoch(msgspec.structs.replace(self.record, proposals=tuple(proposals)), self.tree)

    def without_past(self) -> Epoch:
        """The same epoch without what opens messages of the one before."""
        return Epoch(msgspec.structs.replace(self.record, past=None), self.tree)

    def as_past(self) -> Past:
        """What the next epoch keeps of this one."""
        roster = tuple((member.leaf, member.identity, member.signature_key) for member in self.members)
        return Past(self.record.number, self.context, self.record.secrets.sender_data, roster)


def member_of(leaf_index: int, leaf: LeafNode) -> Member:
    """The member that a leaf stands for."""
    return Member(leaf_index, leaf.credential.identity, leaf.signature_key)


@dataclass(frozen=True, slots=True, repr=False)
class NewEpoch:
    """What a new epoch is made of, apart from what it inherits."""

    context: GroupContext
    tree: RatchetTree
    interim_transcript_hash: bytes
    own_leaf: int
    privates: Mapping[int, bytes]
    signature_seed: bytes
    secrets: EpochSecrets
    longest_lifetime_s: int
    group_info_extensions: Extensions = ()
    past: Past | None = None
    proposals: tuple[PendingProposal, ...] = field(default=())

    def build(self) -> Epoch:
        """The epoch."""
        context = self.context
        record = EpochRecord(
            FORMAT,
            context.suite,
            context.group_id,
            context.epoch,
            self.tree.raw_nodes(),
            context.encode(),
            self.interim_transcript_hash,
            self.own_leaf,
            dict(self.privates),
            self.signature_seed,
            self.secrets,
            self.longest_lifetime_s,
            self.proposals,
            self.group_info_extensions,
            self.past,
        )
        return Epoch(record, self.tree)


def decode_epoch(data: bytes) -> Epoch:
    """An epoch from its stored form; ValueError if it is not one, or of another format."""
    try:
        record = _decode_epoch(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a stored MLS epoch: {error}") from None
    if record.format != FORMAT:
        raise ValueError(f"a stored MLS epoch of format {record.format}; this version reads format {FORMAT}")
    return Epoch(record, encoded=bytes(data))


def encode_ratchets(number: int, current: SecretTree, past: SecretTree | None) -> bytes:
    """The stored form of the message keys."""
    return _encode_epoch(RatchetRecord(number, current.to_parts(), None if past is None else past.to_parts()))


def decode_ratchets(data: bytes, epoch: Epoch) -> tuple[SecretTree, SecretTree | None]:
    """The message keys (current, past) from their stored form; ValueError if they belong to another epoch."""
    try:
        record = _decode_ratchets(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not stored MLS message keys: {error}") from None
    if record.number != epoch.record.number:
        raise ValueError(f"message keys of epoch {record.number} with the state of epoch {epoch.record.number}")
    past = None if record.past is None else SecretTree.from_parts(epoch.suite, record.past)
    return SecretTree.from_parts(epoch.suite, record.current), past
