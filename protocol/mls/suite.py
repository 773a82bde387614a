"""The cipher suites, and the labelled functions of RFC 9420 sections 5 and 8 over them.

Suites 1 and 3 share X25519, Ed25519, HKDF, HMAC and SHA-256 and differ only in the AEAD, so everything but the AEAD is
a plain function here. Curve operations are libsodium's, AEADs are OpenSSL's (`cryptography`: a third of the time of the
libsodium binding, measured), hashes are `hashlib`'s. Nothing is computed by hand.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

from protocol.mls.codec import u16, u32, vec
from protocol.mls.errors import Invalid

HASH_BYTES: Final = 32
NONCE_BYTES: Final = 12
KEY_BYTES: Final = 32
"""Size of X25519 and Ed25519 public keys, X25519 private keys and Ed25519 seeds."""
SIGNATURE_BYTES: Final = 64
ZERO_SECRET: Final = bytes(HASH_BYTES)

Entropy = Callable[[int], bytes]
"""A source of random bytes, such as `os.urandom`; an argument, so that tests are deterministic."""


class Aead(Protocol):
    """The part of an AEAD object of `cryptography` that is used here."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite: its number, its name, its AEAD (key size in bytes, constructor, number in HPKE)."""

    id: int
    name: str
    key_bytes: int
    aead: Callable[[bytes], Aead]
    hpke_aead_id: int


SUITES: Final[dict[int, Suite]] = {
    1: Suite(1, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", 16, AESGCM, 0x0001),
    3: Suite(3, "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519", 32, ChaCha20Poly1305, 0x0003),
}
DEFAULT_SUITE: Final = 3


def suite_of(number: int) -> Suite:
    """The suite with this number; `Invalid` if it is not one of ours."""
    suite = SUITES.get(number)
    if suite is None:
        raise Invalid(f"cipher suite {number} is not supported")
    return suite


def open_aead(suite: Suite, key: bytes, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
    """AEAD decryption; `Invalid` where the tag does not match."""
    try:
        return suite.aead(key).decrypt(nonce, data, associated_data)
    except InvalidTag:
        raise Invalid("ciphertext does not authenticate") from None


# Hashes and key derivation


def sha256(data: bytes) -> bytes:
    """The suites' hash."""
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    """The suites' MAC: HMAC-SHA256."""
    return hmac.digest(key, data, "sha256")


def same(a: bytes, b: bytes) -> bool:
    """Comparison in constant time, for MACs."""
    return hmac.compare_digest(a, b)


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 section 2.2)."""
    return hmac.digest(salt, ikm, "sha256")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3)."""
    if length <= HASH_BYTES:
        return hmac.digest(prk, info + b"\x01", "sha256")[:length]
    if length > 255 * HASH_BYTES:
        raise ValueError(f"HKDF gives at most {255 * HASH_BYTES} bytes, {length} were asked for")
    blocks: list[bytes] = []
    block = b""
    while HASH_BYTES * len(blocks) < length:
        block = hmac.digest(prk, block + info + bytes((len(blocks) + 1,)), "sha256")
        blocks.append(block)
    return b"".join(blocks)[:length]


@lru_cache(maxsize=256)
def label_bytes(label: str) -> bytes:
    """`opaque label<V> = "MLS 1.0 " + label`, as every labelled function prefixes it."""
    return vec(b"MLS 1.0 " + label.encode())


def expand_with_label(secret: bytes, label: str, context: bytes, length: int) -> bytes:
    """ExpandWithLabel (RFC 9420 section 8)."""
    return expand(secret, u16(length) + label_bytes(label) + vec(context), length)


def derive_secret(secret: bytes, label: str) -> bytes:
    """DeriveSecret (RFC 9420 section 8)."""
    return expand_with_label(secret, label, b"", HASH_BYTES)


def derive_tree_secret(secret: bytes, label: str, generation: int, length: int) -> bytes:
    """DeriveTreeSecret (RFC 9420 section 9.1)."""
    return expand_with_label(secret, label, u32(generation), length)


def ref_hash(label: str, value: bytes) -> bytes:
    """RefHash (RFC 9420 section 5.2); the label is used as it is."""
    return sha256(vec(label.encode()) + vec(value))


def key_package_ref(key_package: bytes) -> bytes:
    """KeyPackageRef of an encoded KeyPackage (RFC 9420 section 5.2)."""
    return ref_hash("MLS 1.0 KeyPackage Reference", key_package)


def proposal_ref(authenticated_content: bytes) -> bytes:
    """ProposalRef of an encoded AuthenticatedContent (RFC 9420 section 5.2)."""
    return ref_hash("MLS 1.0 Proposal Reference", authenticated_content)


# Signatures


def signing_key(seed: bytes) -> bytes:
    """The 64-byte form (seed and public key) in which libsodium wants an Ed25519 private key."""
    if len(seed) != KEY_BYTES:
        raise ValueError(f"an Ed25519 seed has {KEY_BYTES} bytes, this one has {len(seed)}")
    _, secret = bindings.crypto_sign_seed_keypair(seed)
    return secret


def public_of(key: bytes) -> bytes:
    """The public key inside a 64-byte signing key."""
    return key[KEY_BYTES:]


def sign_with_label(key: bytes, label: str, content: bytes) -> bytes:
    """SignWithLabel (RFC 9420 section 5.1.2) with a 64-byte signing key."""
    return bindings.crypto_sign(label_bytes(label) + vec(content), key)[:SIGNATURE_BYTES]


def verify_with_label(public: bytes, label: str, content: bytes, signature: bytes) -> None:
    """VerifyWithLabel (RFC 9420 section 5.1.2); `Invalid` if it does not hold.

    libsodium's rules apply: canonical S, no small-order or non-canonical keys. They are stricter than RFC 8032 demands.
    """
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        raise Invalid(f"{label}: signature or key of a wrong size")
    try:
        bindings.crypto_sign_open(signature + label_bytes(label) + vec(content), public)
    except BadSignatureError:
        raise Invalid(f"{label}: the signature does not verify") from None


# X25519

_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""The u-coordinates of small order of curve25519 and its twist, canonical or not (RFC 7748 section 6.1 ignores the top
bit). With one of them as somebody's public key nobody could encrypt to that node, and the group could not go on."""


def check_public_key(public: bytes) -> None:
    """Refuses an X25519 public key of wrong size or small order; `Invalid`."""
    if len(public) != KEY_BYTES:
        raise Invalid(f"an X25519 public key has {KEY_BYTES} bytes, this one has {len(public)}")
    if public[:31] + bytes((public[31] & 0x7F,)) in _SMALL_ORDER:
        raise Invalid("an X25519 public key of small order")


def public_key(private: bytes) -> bytes:
    """The X25519 public key of a private key."""
    return bindings.crypto_scalarmult_base(private)


def exchange(private: bytes, public: bytes) -> bytes:
    """X25519; `Invalid` for a wrong size or an all-zero result (RFC 9180 section 7.1.4)."""
    if len(public) != KEY_BYTES:
        raise Invalid(f"an X25519 public key has {KEY_BYTES} bytes, this one has {len(public)}")
    try:
        return bindings.crypto_scalarmult(private, public)
    except CryptoError:
        raise Invalid("an X25519 shared secret of zero") from None
