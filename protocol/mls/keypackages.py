"""Making and reading key packages (RFC 9420 section 10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from protocol.mls import hpke, limits, validation
from protocol.mls import suite as crypto
from protocol.mls.codec import parse_exact, u16, vec
from protocol.mls.errors import BadKeyPackage, Invalid
from protocol.mls.framing import WIRE_KEY_PACKAGE, message_reader
from protocol.mls.nodes import (
    CREDENTIAL_BASIC,
    EXTENSION_LAST_RESORT,
    MLS10,
    SOURCE_KEY_PACKAGE,
    Credential,
    Extensions,
    KeyPackage,
    LeafNode,
    key_package_tbs,
    leaf_tbs,
    own_capabilities,
    sign_leaf,
)
from protocol.mls.nodes import parse_key_package as parse_structure
from protocol.mls.suite import Entropy


class _Private(msgspec.Struct, frozen=True, array_like=True):
    """The private keys of a key package, as they are stored."""

    init_private: bytes
    leaf_private: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Private).decode


@dataclass(frozen=True, slots=True)
class KeyPackagePair:
    """A new key package: an MLSMessage to publish, its reference (32 bytes), and the private keys to keep for it."""

    key_package: bytes
    ref: bytes
    private: bytes

    def __repr__(self) -> str:
        return f"KeyPackagePair(ref={self.ref.hex()})"


@dataclass(frozen=True, slots=True)
class KeyPackageInfo:
    """What a verified key package says. Times are Unix seconds."""

    identity: bytes
    signature_key: bytes
    ref: bytes
    suite: int
    not_before_s: int
    not_after_s: int
    last_resort: bool


def encode_private(init_private: bytes, leaf_private: bytes) -> bytes:
    """The `private` of a `KeyPackagePair` from its two X25519 private keys."""
    return _encode(_Private(init_private, leaf_private))


def decode_private(private: bytes) -> tuple[bytes, bytes]:
    """(init private key, leaf private key); ValueError if these bytes are not ours."""
    try:
        keys = _decode(private)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not the private part of a key package: {error}") from None
    return keys.init_private, keys.leaf_private


def make_leaf(
    *,
    identity: bytes,
    signing_key: bytes,
    lifetime: tuple[int, int],
    extension_types: Iterable[int],
    entropy: Entropy,
) -> tuple[LeafNode, bytes]:
    """A leaf as in a key package, and its private encryption key."""
    if len(identity) > limits.MAX_IDENTITY_BYTES:
        raise ValueError(f"an identity has at most {limits.MAX_IDENTITY_BYTES} bytes, this one has {len(identity)}")
    if not 0 <= lifetime[0] <= lifetime[1] < 2**64:
        raise ValueError("a lifetime must end after it begins")
    private, public = hpke.derive_key_pair(entropy(crypto.HASH_BYTES))
    tbs = leaf_tbs(
        public,
        crypto.public_of(signing_key),
        Credential(CREDENTIAL_BASIC, identity),
        own_capabilities(extension_types),
        SOURCE_KEY_PACKAGE,
        (),
        lifetime=lifetime,
    )
    return sign_leaf(tbs, signing_key, b""), private


def generate_key_package(
    *,
    identity: bytes,
    signature_private: bytes,
    suite: int = crypto.DEFAULT_SUITE,
    not_before_s: int,
    not_after_s: int,
    last_resort: bool = False,
    extension_types: Iterable[int] = (),
    entropy: Entropy,
) -> KeyPackagePair:
    """A fresh key package for others to add this client with.

    `signature_private` is the 32-byte Ed25519 seed; times are Unix seconds; `extension_types` are further GroupContext
    extension types that the application understands. ValueError for arguments out of range.
    """
    if suite not in crypto.SUITES:
        raise ValueError(f"cipher suite {suite} is not one of {sorted(crypto.SUITES)}")
    if not_after_s - not_before_s > limits.MAX_LIFETIME_S:
        raise ValueError(f"a key package lives at most {limits.MAX_LIFETIME_S} s")
    signing_key = crypto.signing_key(signature_private)
    leaf, leaf_private = make_leaf(
        identity=identity,
        signing_key=signing_key,
        lifetime=(not_before_s, not_after_s),
        extension_types=extension_types,
        entropy=entropy,
    )
    init_private, init_public = hpke.derive_key_pair(entropy(crypto.HASH_BYTES))
    extensions: Extensions = ((EXTENSION_LAST_RESORT, b""),) if last_resort else ()
    tbs = key_package_tbs(suite, init_public, leaf, extensions)
    raw = tbs + vec(crypto.sign_with_label(signing_key, "KeyPackageTBS", tbs))
    return KeyPackagePair(
        u16(MLS10) + u16(WIRE_KEY_PACKAGE) + raw,
        crypto.key_package_ref(raw),
        encode_private(init_private, leaf_private),
    )


def read_key_package(data: bytes) -> KeyPackage:
    """The structure in an MLSMessage with a key package; `Invalid` if it is not one. Nothing is verified."""
    wire_format, reader = message_reader(data, limits.MAX_KEY_PACKAGE_BYTES)
    if wire_format != WIRE_KEY_PACKAGE:
        raise Invalid("not a key package")
    return parse_exact(reader.rest(), parse_structure)


def parse_key_package(data: bytes, now_s: int) -> KeyPackageInfo:
    """Verifies a key package (an MLSMessage): signatures, keys, capabilities and lifetime at `now_s`.

    Raises `BadKeyPackage`.
    """
    try:
        key_package = read_key_package(data)
        validation.check_key_package(key_package, key_package.suite, limits.MAX_LIFETIME_S)
        validation.check_lifetime_now(key_package.leaf, now_s)
    except Invalid as error:
        raise BadKeyPackage(error.reason) from error
    leaf = key_package.leaf
    assert leaf.lifetime is not None
    return KeyPackageInfo(
        leaf.credential.identity,
        leaf.signature_key,
        key_package.ref,
        key_package.suite,
        *leaf.lifetime,
        key_package.last_resort,
    )
