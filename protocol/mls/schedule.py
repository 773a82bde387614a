"""The key schedule, group contexts, transcript hashes and pre-shared keys (RFC 9420 section 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from protocol.mls import hpke
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, parse_exact, u8, u16, u64, vec
from protocol.mls.errors import DecodeError
from protocol.mls.nodes import MLS10, Extensions, encode_extensions, parse_extensions
from protocol.mls.suite import HASH_BYTES, ZERO_SECRET, derive_secret, expand_with_label, extract

PSK_EXTERNAL: Final = 1
PSK_RESUMPTION: Final = 2
USAGE_APPLICATION: Final = 1
USAGE_REINIT: Final = 2
USAGE_BRANCH: Final = 3


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What all members of an epoch agree on (8.1)."""

    suite: int
    group_id: bytes
    epoch: int
    tree_hash: bytes
    confirmed_transcript_hash: bytes
    extensions: Extensions

    def encode(self) -> bytes:
        """The GroupContext structure."""
        return b"".join(
            (
                u16(MLS10),
                u16(self.suite),
                vec(self.group_id),
                u64(self.epoch),
                vec(self.tree_hash),
                vec(self.confirmed_transcript_hash),
                encode_extensions(self.extensions),
            )
        )


def parse_group_context(reader: Reader) -> GroupContext:
    """A GroupContext of MLS 1.0."""
    if reader.u16() != MLS10:
        raise DecodeError("a group context of another protocol version")
    return GroupContext(reader.u16(), reader.vec(), reader.u64(), reader.vec(), reader.vec(), parse_extensions(reader))


class EpochSecrets(msgspec.Struct, frozen=True, array_like=True):
    """The secrets of an epoch that are kept (8, table 4). `init` is used up by the next commit."""

    sender_data: bytes
    exporter: bytes
    external: bytes
    membership: bytes
    resumption: bytes
    authenticator: bytes
    init: bytes

    def __repr__(self) -> str:
        return "EpochSecrets(…)"


@dataclass(frozen=True, slots=True, repr=False)
class Schedule:
    """One run of the key schedule: what is kept, and what is used once while the epoch is set up."""

    joiner_secret: bytes
    welcome_secret: bytes
    encryption_secret: bytes
    confirmation_key: bytes
    kept: EpochSecrets


def joiner_secret(init_secret: bytes, commit_secret: bytes, context: bytes) -> bytes:
    """The joiner secret of the epoch with this encoded GroupContext (8)."""
    return expand_with_label(extract(init_secret, commit_secret), "joiner", context, HASH_BYTES)


def welcome_secret(joiner: bytes, psk_secret: bytes) -> bytes:
    """The secret that the GroupInfo in a Welcome is encrypted under (8)."""
    return derive_secret(extract(joiner, psk_secret), "welcome")


def from_epoch_secret(epoch_secret: bytes, joiner: bytes = b"", welcome: bytes = b"") -> Schedule:
    """All that follows from an epoch secret (8)."""
    return Schedule(
        joiner,
        welcome,
        derive_secret(epoch_secret, "encryption"),
        derive_secret(epoch_secret, "confirm"),
        EpochSecrets(
            sender_data=derive_secret(epoch_secret, "sender data"),
            exporter=derive_secret(epoch_secret, "exporter"),
            external=derive_secret(epoch_secret, "external"),
            membership=derive_secret(epoch_secret, "membership"),
            resumption=derive_secret(epoch_secret, "resumption"),
            authenticator=derive_secret(epoch_secret, "authentication"),
            init=derive_secret(epoch_secret, "init"),
        ),
    )


def from_joiner_secret(joiner: bytes, psk_secret: bytes, context: bytes) -> Schedule:
    """The schedule of an epoch from its joiner secret, as both members and joiners run it (8)."""
    member = extract(joiner, psk_secret)
    epoch_secret = expand_with_label(member, "epoch", context, HASH_BYTES)
    return from_epoch_secret(epoch_secret, joiner, derive_secret(member, "welcome"))


def welcome_key_nonce(secret: bytes, key_bytes: int) -> tuple[bytes, bytes]:
    """Key and nonce for the GroupInfo in a Welcome (12.4.3.1)."""
    key = expand_with_label(secret, "key", b"", key_bytes)
    return key, expand_with_label(secret, "nonce", b"", crypto.NONCE_BYTES)


def exporter(exporter_secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """MLS-Exporter (8.5)."""
    return expand_with_label(derive_secret(exporter_secret, label), "exported", crypto.sha256(context), length)


def external_key_pair(external_secret: bytes) -> tuple[bytes, bytes]:
    """(private, public) of the group's external key (8)."""
    return hpke.derive_key_pair(external_secret)


# Transcript hashes (8.2)


def confirmed_hash(interim_before: bytes, wire_format: int, content: bytes, signature: bytes) -> bytes:
    """The confirmed transcript hash after a commit with this encoded FramedContent."""
    return crypto.sha256(interim_before + u16(wire_format) + content + vec(signature))


def interim_hash(confirmed: bytes, confirmation_tag: bytes) -> bytes:
    """The interim transcript hash that follows."""
    return crypto.sha256(confirmed + vec(confirmation_tag))


# Pre-shared keys (8.4)


@dataclass(frozen=True, slots=True)
class PskId:
    """A PreSharedKeyID: external (`psk_id`), or the resumption secret of a group's epoch."""

    kind: int
    nonce: bytes
    psk_id: bytes = b""
    usage: int = 0
    group_id: bytes = b""
    epoch: int = 0

    def encode(self) -> bytes:
        """The PreSharedKeyID structure."""
        if self.kind == PSK_EXTERNAL:
            return u8(self.kind) + vec(self.psk_id) + vec(self.nonce)
        return u8(self.kind) + u8(self.usage) + vec(self.group_id) + u64(self.epoch) + vec(self.nonce)


def parse_psk_id(reader: Reader) -> PskId:
    """A PreSharedKeyID."""
    kind = reader.u8()
    if kind == PSK_EXTERNAL:
        psk_id = reader.vec()
        return PskId(kind, reader.vec(), psk_id)
    if kind == PSK_RESUMPTION:
        usage, group_id, epoch = reader.u8(), reader.vec(), reader.u64()
        if usage not in (USAGE_APPLICATION, USAGE_REINIT, USAGE_BRANCH):
            raise DecodeError("a resumption key for an unknown usage")
        return PskId(kind, reader.vec(), usage=usage, group_id=group_id, epoch=epoch)
    raise DecodeError("a pre-shared key of an unknown type")


def psk_secret(psks: Sequence[tuple[PskId, bytes]]) -> bytes:
    """The `psk_secret` of these keys in their order; all zeros for none."""
    secret = ZERO_SECRET
    for index, (psk_id, psk) in enumerate(psks):
        label = psk_id.encode() + u16(index) + u16(len(psks))
        derived = expand_with_label(extract(ZERO_SECRET, psk), "derived psk", label, HASH_BYTES)
        secret = extract(derived, secret)
    return secret


def decode_group_context(data: bytes) -> GroupContext:
    """A GroupContext from exactly these bytes."""
    return parse_exact(data, parse_group_context)
