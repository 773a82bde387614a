"""HPKE (RFC 9180) in base mode, DHKEM(X25519, HKDF-SHA256), single-shot, for the AEADs of our suites.

`seal`/`open_sealed` are SealBase/OpenBase, `export_to`/`export_from` the single-shot exports that external
initialization uses (RFC 9420 section 8.3). Nothing here keeps a context: MLS never sends twice under one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocol.mls import suite as crypto
from protocol.mls.codec import u16, vec
from protocol.mls.suite import HASH_BYTES, KEY_BYTES, NONCE_BYTES, Suite

_VERSION: Final = b"HPKE-v1"
_KEM_ID: Final = 0x0020
_KDF_ID: Final = 0x0001
_KEM_SUITE: Final = b"KEM" + u16(_KEM_ID)
_MODE_BASE: Final = b"\x00"


def _labeled_extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return crypto.extract(salt, _VERSION + suite_id + label + ikm)


def _labeled_expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return crypto.expand(prk, u16(length) + _VERSION + suite_id + label + info, length)


def derive_key_pair(ikm: bytes) -> tuple[bytes, bytes]:
    """DeriveKeyPair (RFC 9180 section 7.1.3): (private, public)."""
    prk = _labeled_extract(_KEM_SUITE, b"", b"dkp_prk", ikm)
    private = _labeled_expand(_KEM_SUITE, prk, b"sk", b"", KEY_BYTES)
    return private, crypto.public_key(private)


def _shared_secret(dh: bytes, kem_output: bytes, public: bytes) -> bytes:
    """ExtractAndExpand (RFC 9180 section 4.1)."""
    prk = _labeled_extract(_KEM_SUITE, b"", b"eae_prk", dh)
    return _labeled_expand(_KEM_SUITE, prk, b"shared_secret", kem_output + public, HASH_BYTES)


def encap(public: bytes, ephemeral_private: bytes) -> tuple[bytes, bytes]:
    """Encap (RFC 9180 section 4.1) with a fresh ephemeral key: (shared secret, KEM output)."""
    kem_output = crypto.public_key(ephemeral_private)
    return _shared_secret(crypto.exchange(ephemeral_private, public), kem_output, public), kem_output


def decap(kem_output: bytes, private: bytes, public: bytes | None = None) -> bytes:
    """Decap (RFC 9180 section 4.1). `Invalid` for a KEM output of wrong size or small order."""
    dh = crypto.exchange(private, kem_output)
    return _shared_secret(dh, kem_output, public if public is not None else crypto.public_key(private))


@dataclass(frozen=True, slots=True, repr=False)
class KeySchedule:
    """What KeySchedule() of RFC 9180 section 5.1 gives."""

    context: bytes
    secret: bytes
    key: bytes
    base_nonce: bytes
    exporter_secret: bytes


@lru_cache(maxsize=8)
def _constants(aead_id: int) -> tuple[bytes, bytes]:
    """(suite id, hash of the empty psk_id), the same for every message of a suite."""
    suite_id = b"HPKE" + u16(_KEM_ID) + u16(_KDF_ID) + u16(aead_id)
    return suite_id, _labeled_extract(suite_id, b"", b"psk_id_hash", b"")


def key_schedule(suite: Suite, shared_secret: bytes, info: bytes) -> KeySchedule:
    """KeySchedule() in base mode (RFC 9180 section 5.1)."""
    suite_id, psk_id_hash = _constants(suite.hpke_aead_id)
    context = _MODE_BASE + psk_id_hash + _labeled_extract(suite_id, b"", b"info_hash", info)
    secret = _labeled_extract(suite_id, shared_secret, b"secret", b"")
    return KeySchedule(
        context,
        secret,
        _labeled_expand(suite_id, secret, b"key", context, suite.key_bytes),
        _labeled_expand(suite_id, secret, b"base_nonce", context, NONCE_BYTES),
        _labeled_expand(suite_id, secret, b"exp", context, HASH_BYTES),
    )


def export(suite: Suite, exporter_secret: bytes, context: bytes, length: int) -> bytes:
    """Context.Export (RFC 9180 section 5.3)."""
    return _labeled_expand(_constants(suite.hpke_aead_id)[0], exporter_secret, b"sec", context, length)


def seal(
    suite: Suite, public: bytes, info: bytes, associated_data: bytes, plaintext: bytes, ephemeral_private: bytes
) -> tuple[bytes, bytes]:
    """SealBase (RFC 9180 section 6.1): (KEM output, ciphertext)."""
    shared_secret, kem_output = encap(public, ephemeral_private)
    keys = key_schedule(suite, shared_secret, info)
    return kem_output, suite.aead(keys.key).encrypt(keys.base_nonce, plaintext, associated_data)


def open_sealed(
    suite: Suite, kem_output: bytes, private: bytes, info: bytes, associated_data: bytes, ciphertext: bytes
) -> bytes:
    """OpenBase (RFC 9180 section 6.1); `Invalid` if it does not open."""
    keys = key_schedule(suite, decap(kem_output, private), info)
    return crypto.open_aead(suite, keys.key, keys.base_nonce, ciphertext, associated_data)


def export_to(
    suite: Suite, public: bytes, info: bytes, context: bytes, length: int, ephemeral_private: bytes
) -> tuple[bytes, bytes]:
    """SendExportBase (RFC 9180 section 6.2): (KEM output, exported secret)."""
    shared_secret, kem_output = encap(public, ephemeral_private)
    keys = key_schedule(suite, shared_secret, info)
    return kem_output, export(suite, keys.exporter_secret, context, length)


def export_from(suite: Suite, kem_output: bytes, private: bytes, info: bytes, context: bytes, length: int) -> bytes:
    """ReceiveExportBase (RFC 9180 section 6.2)."""
    keys = key_schedule(suite, decap(kem_output, private), info)
    return export(suite, keys.exporter_secret, context, length)


def encrypt_with_label(
    suite: Suite, public: bytes, label: str, context: bytes, plaintext: bytes, ephemeral_private: bytes
) -> tuple[bytes, bytes]:
    """EncryptWithLabel (RFC 9420 section 5.1.3): (KEM output, ciphertext)."""
    return seal(suite, public, crypto.label_bytes(label) + vec(context), b"", plaintext, ephemeral_private)


def decrypt_with_label(
    suite: Suite, private: bytes, label: str, context: bytes, kem_output: bytes, ciphertext: bytes
) -> bytes:
    """DecryptWithLabel (RFC 9420 section 5.1.3); `Invalid` if it does not open."""
    return open_sealed(suite, kem_output, private, crypto.label_bytes(label) + vec(context), b"", ciphertext)
