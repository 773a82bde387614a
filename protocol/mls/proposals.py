"""Proposals and commits as structures (RFC 9420 sections 12.1, 12.4). What they may say is judged in `validation`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocol.mls import limits
from protocol.mls.codec import Reader, optional, u8, u16, u32, vec, vec_of
from protocol.mls.errors import DecodeError
from protocol.mls.nodes import (
    Extensions,
    KeyPackage,
    LeafNode,
    encode_extensions,
    parse_extensions,
    parse_key_package,
    parse_leaf,
)
from protocol.mls.schedule import PskId, parse_psk_id
from protocol.mls.treekem import UpdatePath, parse_update_path

ADD: Final = 1
UPDATE: Final = 2
REMOVE: Final = 3
PSK: Final = 4
REINIT: Final = 5
EXTERNAL_INIT: Final = 6
GROUP_CONTEXT_EXTENSIONS: Final = 7

PATH_REQUIRED: Final = frozenset({UPDATE, REMOVE, EXTERNAL_INIT, GROUP_CONTEXT_EXTENSIONS})
"""Proposal types after which a commit must have a path (12.4)."""


@dataclass(frozen=True, slots=True)
class Add:
    """Adds the client of a key package (12.1.1)."""

    key_package: KeyPackage
    kind = ADD

    def body(self) -> bytes:
        """The Add structure."""
        return self.key_package.raw


@dataclass(frozen=True, slots=True)
class Update:
    """Replaces the sender's leaf (12.1.2)."""

    leaf: LeafNode
    kind = UPDATE

    def body(self) -> bytes:
        """The Update structure."""
        return self.leaf.raw


@dataclass(frozen=True, slots=True)
class Remove:
    """Removes the member at a leaf index (12.1.3)."""

    removed: int
    kind = REMOVE

    def body(self) -> bytes:
        """The Remove structure."""
        return u32(self.removed)


@dataclass(frozen=True, slots=True)
class PreSharedKey:
    """Mixes a pre-shared key into the schedule (12.1.4)."""

    psk: PskId
    kind = PSK

    def body(self) -> bytes:
        """The PreSharedKey structure."""
        return self.psk.encode()


@dataclass(frozen=True, slots=True)
class ReInit:
    """Asks to start the group anew with other parameters (12.1.5). Parsed, never accepted: a seam."""

    group_id: bytes
    version: int
    suite: int
    extensions: Extensions
    kind = REINIT

    def body(self) -> bytes:
        """The ReInit structure."""
        return vec(self.group_id) + u16(self.version) + u16(self.suite) + encode_extensions(self.extensions)


@dataclass(frozen=True, slots=True)
class ExternalInit:
    """Part of an external commit (12.1.6). Parsed, never accepted: a seam."""

    kem_output: bytes
    kind = EXTERNAL_INIT

    def body(self) -> bytes:
        """The ExternalInit structure."""
        return vec(self.kem_output)


@dataclass(frozen=True, slots=True)
class GroupContextExtensions:
    """Replaces the extensions of the GroupContext (12.1.7)."""

    extensions: Extensions
    kind = GROUP_CONTEXT_EXTENSIONS

    def body(self) -> bytes:
        """The GroupContextExtensions structure."""
        return encode_extensions(self.extensions)


Proposal = Add | Update | Remove | PreSharedKey | ReInit | ExternalInit | GroupContextExtensions


def encode_proposal(proposal: Proposal) -> bytes:
    """The Proposal structure."""
    return u16(proposal.kind) + proposal.body()


def parse_proposal_body(reader: Reader, kind: int) -> Proposal:
    """The structure that follows a proposal type. An unknown type has no known length, so it is refused."""
    if kind == ADD:
        return Add(parse_key_package(reader))
    if kind == UPDATE:
        return Update(parse_leaf(reader))
    if kind == REMOVE:
        return Remove(reader.u32())
    if kind == PSK:
        return PreSharedKey(parse_psk_id(reader))
    if kind == REINIT:
        return ReInit(reader.vec(), reader.u16(), reader.u16(), parse_extensions(reader))
    if kind == EXTERNAL_INIT:
        return ExternalInit(reader.vec())
    if kind == GROUP_CONTEXT_EXTENSIONS:
        return GroupContextExtensions(parse_extensions(reader))
    raise DecodeError(f"proposal type {kind} is not supported")


def parse_proposal(reader: Reader) -> Proposal:
    """A Proposal."""
    return parse_proposal_body(reader, reader.u16())


@dataclass(frozen=True, slots=True)
class Commit:
    """A Commit (12.4): proposals by value, or the reference of one that was sent before; and the path."""

    proposals: tuple[Proposal | bytes, ...]
    path: UpdatePath | None

    def encode(self) -> bytes:
        """The Commit structure."""
        listed = (
            u8(2) + vec(item) if isinstance(item, bytes) else u8(1) + encode_proposal(item) for item in self.proposals
        )
        return vec_of(listed) + optional(None if self.path is None else self.path.encode())


def _parse_proposal_or_ref(reader: Reader) -> Proposal | bytes:
    kind = reader.u8()
    if kind == 1:
        return parse_proposal(reader)
    if kind == 2:
        return reader.vec()
    raise DecodeError("neither a proposal nor a reference to one")


def parse_commit(reader: Reader) -> Commit:
    """A Commit."""
    proposals = reader.items(_parse_proposal_or_ref)
    if len(proposals) > limits.MAX_PROPOSALS:
        raise DecodeError(f"a commit of more than {limits.MAX_PROPOSALS} proposals")
    return Commit(proposals, parse_update_path(reader) if reader.optional() else None)
