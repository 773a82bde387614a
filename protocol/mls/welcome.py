"""Welcome, GroupInfo and GroupSecrets (RFC 9420 section 12.4.3): the structures, and their encryption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.mls import hpke, limits, schedule
from protocol.mls import suite as crypto
from protocol.mls.codec import Reader, optional, parse_exact, u16, u32, vec, vec_of
from protocol.mls.errors import DecodeError, Invalid
from protocol.mls.framing import WIRE_WELCOME, message_reader
from protocol.mls.nodes import MLS10, Extensions, KeyPackage, encode_extensions, parse_extensions
from protocol.mls.schedule import GroupContext, PskId, parse_group_context, parse_psk_id
from protocol.mls.suite import Entropy, Suite
from protocol.mls.treekem import parse_hpke_ciphertext

_LABEL = "Welcome"


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """What a joiner needs to know of a group, signed by the member who says it."""

    context: GroupContext
    context_raw: bytes
    extensions: Extensions
    confirmation_tag: bytes
    signer: int
    signature: bytes
    tbs: bytes

    def encode(self) -> bytes:
        """The GroupInfo structure."""
        return self.tbs + vec(self.signature)

    def verify(self, public: bytes) -> None:
        """Checks the signature (12.4.3)."""
        crypto.verify_with_label(public, "GroupInfoTBS", self.tbs, self.signature)


def sign_group_info(
    context: bytes, extensions: Extensions, confirmation_tag: bytes, signer: int, signing_key: bytes
) -> bytes:
    """An encoded, signed GroupInfo for this encoded GroupContext."""
    tbs = context + encode_extensions(extensions) + vec(confirmation_tag) + u32(signer)
    return tbs + vec(crypto.sign_with_label(signing_key, "GroupInfoTBS", tbs))


def parse_group_info(reader: Reader) -> GroupInfo:
    """A GroupInfo."""
    start = reader.position
    context = parse_group_context(reader)
    context_raw = reader.data[start : reader.position]
    extensions, tag, signer = parse_extensions(reader), reader.vec(), reader.u32()
    tbs = reader.data[start : reader.position]
    return GroupInfo(context, context_raw, extensions, tag, signer, reader.vec(), tbs)


@dataclass(frozen=True, slots=True, repr=False)
class GroupSecrets:
    """What is encrypted to one new member."""

    joiner_secret: bytes
    path_secret: bytes | None
    psks: tuple[PskId, ...]

    def encode(self) -> bytes:
        """The GroupSecrets structure."""
        path = None if self.path_secret is None else vec(self.path_secret)
        return vec(self.joiner_secret) + optional(path) + vec_of(psk.encode() for psk in self.psks)


def parse_group_secrets(reader: Reader) -> GroupSecrets:
    """A GroupSecrets."""
    joiner = reader.vec()
    path_secret = reader.vec() if reader.optional() else None
    return GroupSecrets(joiner, path_secret, reader.items(parse_psk_id))


@dataclass(frozen=True, slots=True)
class Welcome:
    """A Welcome: secrets by key package reference, and the encrypted GroupInfo."""

    suite: int
    secrets: tuple[tuple[bytes, bytes, bytes], ...]
    """(key package reference, KEM output, ciphertext)"""
    encrypted_group_info: bytes

    def encode(self) -> bytes:
        """The MLSMessage."""
        secrets = vec_of(vec(ref) + vec(kem) + vec(data) for ref, kem, data in self.secrets)
        return u16(MLS10) + u16(WIRE_WELCOME) + u16(self.suite) + secrets + vec(self.encrypted_group_info)


def parse_welcome(data: bytes) -> Welcome:
    """A Welcome from its MLSMessage."""
    wire_format, reader = message_reader(data, limits.MAX_WELCOME_BYTES)
    if wire_format != WIRE_WELCOME:
        raise DecodeError("not a Welcome")
    welcome = Welcome(reader.u16(), reader.items(lambda r: (r.vec(), *parse_hpke_ciphertext(r))), reader.vec())
    reader.done()
    return welcome


def seal_welcome(
    suite: Suite,
    group_info: bytes,
    welcome_secret: bytes,
    joiner_secret: bytes,
    newcomers: Sequence[tuple[KeyPackage, bytes | None]],
    psks: tuple[PskId, ...],
    entropy: Entropy,
) -> bytes:
    """A Welcome for these key packages, each with its path secret (12.4.3.1)."""
    key, nonce = schedule.welcome_key_nonce(welcome_secret, suite.key_bytes)
    sealed_info = suite.aead(key).encrypt(nonce, group_info, b"")
    secrets = []
    for key_package, path_secret in newcomers:
        plaintext = GroupSecrets(joiner_secret, path_secret, psks).encode()
        kem_output, ciphertext = hpke.encrypt_with_label(
            suite, key_package.init_key, _LABEL, sealed_info, plaintext, entropy(crypto.KEY_BYTES)
        )
        secrets.append((key_package.ref, kem_output, ciphertext))
    return Welcome(suite.id, tuple(secrets), sealed_info).encode()


def open_group_secrets(suite: Suite, welcome: Welcome, ref: bytes, init_private: bytes) -> GroupSecrets:
    """This key package's secrets of a Welcome; `Invalid` if there are none or they do not open."""
    entry = next((entry for entry in welcome.secrets if entry[0] == ref), None)
    if entry is None:
        raise Invalid("the Welcome is not for this key package (12.4.3.1)")
    plaintext = hpke.decrypt_with_label(suite, init_private, _LABEL, welcome.encrypted_group_info, entry[1], entry[2])
    return parse_exact(plaintext, parse_group_secrets)


def open_group_info(suite: Suite, welcome: Welcome, joiner_secret: bytes, psk_secret: bytes) -> GroupInfo:
    """The GroupInfo of a Welcome, its signature not verified yet (that takes the tree)."""
    key, nonce = schedule.welcome_key_nonce(schedule.welcome_secret(joiner_secret, psk_secret), suite.key_bytes)
    return parse_exact(crypto.open_aead(suite, key, nonce, welcome.encrypted_group_info, b""), parse_group_info)
