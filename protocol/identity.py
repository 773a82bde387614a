"""Who is who: root keys, signed versioned device lists, the login challenge, safety numbers.

An account *is* an Ed25519 root key. Its devices are one signed list with a version and an expiry; readers refuse a
lower version, so a relay can hide a revocation for at most the life of a list. Three keys may sign a list:

* the root key: anything;
* a listed device: revocation only (fewer devices, nothing else changes but version and creation time), together with
  the list of the root or recovery key that it shortens, so that a reader who has seen neither can judge it;
* the recovery key committed in version 1: anything, and from then on it outranks the root (the root is listed as lost).

Every signature is over ``domain || 0x00 || bytes`` with a domain of its own, so no signature can be used elsewhere;
MLS signs under ``MLS 1.0 …`` labels, which no domain here is a prefix of.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError
from protocol.frames import Key, Signature, UInt

_LIST: Final = b"chappe/v1/device-list\x00"
_LOGIN: Final = b"chappe/v1/login\x00"
_SAFETY: Final = b"chappe/v1/safety-number\x00"
_ANY_SCALAR: Final = bytes(range(32))  # no secret: only tells whether a product is zero, which small order makes it
SAFETY_ROUNDS: Final = 5200  # as Signal: makes searching for a colliding number 5,200 times dearer


class IdentityError(ChappeError):
    """A key, signature or device list that cannot be accepted; the text says why."""


class SigningKey:
    """An Ed25519 key pair from a 32-byte seed. The seed never shows in ``repr``."""

    __slots__ = ("_secret", "public", "seed")

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = sodium.crypto_sign_seed_keypair(seed)
        self.seed = seed

    def sign(self, domain: bytes, message: bytes) -> bytes:
        """64-byte signature over ``domain || message``; domains end with a zero byte."""
        return sodium.crypto_sign(domain + message, self._secret)[: L.SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:16]}…)"


def check_key(public: bytes) -> None:
    """Refuse keys of small order, off the main subgroup or not canonical. Raises IdentityError."""
    if len(public) != L.KEY_BYTES or not sodium.crypto_core_ed25519_is_valid_point(public):
        raise IdentityError("not a valid Ed25519 public key (wrong length, small order or not canonical)")


def verify(public: bytes, domain: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is that of ``public`` over ``domain || message``. Never raises on bad input."""
    if len(public) != L.KEY_BYTES or len(signature) != L.SIGNATURE_BYTES:
        return False
    try:
        sodium.crypto_sign_open(signature + domain + message, public)
    except CryptoError:
        return False
    return True


# -- device lists -----------------------------------------------------------------------------------------------------
class Device(msgspec.Struct, frozen=True, array_like=True):
    """One device: its signature key, the X25519 key that inbox boxes are sealed to, whether it holds the root key."""

    key: Key
    inbox_key: Key
    added_ms: UInt
    primary: bool


class DeviceList(msgspec.Struct, frozen=True, array_like=True):
    """The devices of an account, as signed."""

    account: Key
    version: Annotated[int, Meta(ge=1, le=L.INT_MAX)]
    created_ms: UInt
    expires_ms: UInt
    devices: Annotated[tuple[Device, ...], Meta(max_length=L.DEVICES_MAX)]
    recovery: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""  # recovery public key; fixed by version 1
    service: bool = False  # a worker: serves everyone
    recovered: bool = False  # signed by the recovery key once: the root key is not accepted any more

    def device(self, key: bytes) -> Device | None:
        """The entry of a device key, if listed."""
        return next((device for device in self.devices if device.key == key), None)


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: Annotated[bytes, Meta(max_length=L.DEVICE_LIST_BYTES_MAX)]
    signer: Key
    signature: Signature
    basis: Annotated[bytes, Meta(max_length=L.DEVICE_LIST_BYTES_MAX)] = b""  # of a revocation: what it shortens


def sign_list(devices: DeviceList, signer: SigningKey, basis: bytes = b"") -> bytes:
    """The list as published: bytes, signer, signature over exactly those bytes.

    ``basis``: when a device signs a revocation, the signed list that it shortens, as published (if that one was signed
    by a device itself, its basis is taken on). Raises ``RemoteProtocolError`` if ``basis`` is not a signed list.
    """
    body = encode_struct(devices)
    root = (decode_struct(basis, _Signed).basis or basis) if basis else b""
    return encode_struct(_Signed(body, signer.public, signer.sign(_LIST, body), root))


def open_signed(signed: bytes) -> DeviceList:
    """The list inside, its signature not checked: for lists that this program verified before it stored them."""
    return decode_struct(decode_struct(signed, _Signed).body, DeviceList)


def verify_list(signed: bytes, previous: DeviceList | None = None, *, account: bytes | None = None) -> DeviceList:
    """Check a signed device list against the one known before. Raises IdentityError or RemoteProtocolError.

    ``previous`` None: the first list seen of this account (any version, since a stranger may be at version 9). A lower
    version, the same version with other content, another account and a signer without the right are refused. Versions
    may be skipped: only the newest list of an account is kept. Time is not judged here (see ``is_expired`` and
    ``is_premature``): an expired list still tells who signed what.
    """
    outer = decode_struct(signed, _Signed)
    devices = _open(outer)
    if account is not None and devices.account != account:
        raise IdentityError("this device list belongs to another account")
    basis = _basis(devices, outer)
    if previous is not None:
        _check_next(devices, previous, basis)
        if basis is not None and basis.version < previous.version < devices.version:
            _check_revocation(devices, outer.signer, previous)
    return devices


def _open(signed: _Signed) -> DeviceList:
    """The list inside, its signature and its form checked; not whether the signer has the right."""
    if not verify(signed.signer, _LIST, signed.body, signed.signature):
        raise IdentityError("the signature of the device list does not verify")
    devices = decode_struct(signed.body, DeviceList)
    _check_shape(devices)
    return devices


def _check_shape(devices: DeviceList) -> None:
    check_key(devices.account)
    keys = [device.key for device in devices.devices]
    if len(set(keys)) != len(keys):
        raise IdentityError("a device is listed twice")
    for device in devices.devices:
        check_key(device.key)
        check_box_key(device.inbox_key)
    if not devices.created_ms < devices.expires_ms <= devices.created_ms + L.DEVICE_LIST_LIFE_MS:
        raise IdentityError("a device list lives at most 30 days from its creation")
    if devices.recovery:
        check_key(devices.recovery)


def check_box_key(key: bytes) -> None:
    """Refuse X25519 keys of small order (RFC 7748 section 6.1): every sender would fail at sealing to them.

    Raises ``IdentityError``.
    """
    try:
        sodium.crypto_scalarmult(_ANY_SCALAR, key)
    except CryptoError:
        raise IdentityError("a key for boxes is not a valid X25519 public key (small order)") from None


def _rightful(devices: DeviceList) -> bytes:
    """The one key that may sign any list of this account: its root, or its recovery key once that was used."""
    return devices.recovery if devices.recovered else devices.account


def _basis(devices: DeviceList, outer: _Signed) -> DeviceList | None:
    """None if the rightful key signed; else the list of that key which a device has shortened, checked against it."""
    if outer.signer == _rightful(devices):
        return None
    if not outer.basis:
        raise IdentityError("signed neither by the root key nor by the recovery key, and without the list it shortens")
    inner = decode_struct(outer.basis, _Signed)
    basis = _open(inner)
    if inner.signer != _rightful(basis):
        raise IdentityError("the list that a revocation shortens must be signed by the root or recovery key")
    _check_revocation(devices, outer.signer, basis)
    return basis


def _check_revocation(devices: DeviceList, signer: bytes, earlier: DeviceList) -> None:
    """What a device may sign: ``earlier`` with fewer devices.

    Each version between the two took at least one device away, which bounds the version: a stolen device cannot use up
    the version numbers, so that no later list could be valid.
    """
    if earlier.device(signer) is None:
        raise IdentityError("the signer is neither the root key, the recovery key nor a listed device")
    allowed = msgspec.structs.replace(
        earlier, version=devices.version, created_ms=devices.created_ms, devices=devices.devices
    )
    if devices != allowed or not set(devices.devices) < set(earlier.devices):
        raise IdentityError("a device may only revoke; adding or changing anything needs the root key")
    if not 0 < devices.version - earlier.version <= len(earlier.devices) - len(devices.devices):
        raise IdentityError("a revocation is the next version")


def _check_next(devices: DeviceList, previous: DeviceList, basis: DeviceList | None) -> None:
    if devices.account != previous.account:
        raise IdentityError("this device list belongs to another account")
    if devices.version < previous.version:
        raise IdentityError(f"version {devices.version} is older than version {previous.version}, which is known")
    if devices.version == previous.version and devices != previous:
        raise IdentityError(f"two different lists claim version {devices.version}")
    if devices.recovery != previous.recovery:
        raise IdentityError("the recovery key is fixed by version 1")
    if previous.recovered and not devices.recovered:
        raise IdentityError("this account was recovered; its old root key no longer counts")
    if basis is not None and basis.version >= previous.version:
        _check_next(basis, previous, None)  # a basis that contradicts what is known shows a second history


def is_expired(devices: DeviceList, now_ms: int) -> bool:
    """Whether the list has run out: no adds any more, and its messages are marked."""
    return now_ms >= devices.expires_ms


def is_premature(devices: DeviceList, now_ms: int) -> bool:
    """Whether the list was made further ahead than clocks may be off: it would outlive the 30 days."""
    return devices.created_ms > now_ms + L.CLOCK_SKEW_MS_MAX


# -- login ------------------------------------------------------------------------------------------------------------
def challenge(
    cluster: bytes, relay_nonce: bytes, client_nonce: bytes, version: int, account: bytes, device: bytes
) -> bytes:
    """What a device signs to log in: domain, cluster and both nonces, so it is worth nothing anywhere else."""
    return encode_struct((cluster, relay_nonce, client_nonce, version, account, device))


def sign_challenge(key: SigningKey, message: bytes) -> bytes:
    """Signature for CONNECT."""
    return key.sign(_LOGIN, message)


def verify_challenge(device: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a CONNECT's signature is good. Keys of small order never are."""
    return verify(device, _LOGIN, message, signature)


# -- safety numbers ---------------------------------------------------------------------------------------------------
def _fingerprint(account: bytes) -> str:
    digest = _SAFETY + account
    for _ in range(SAFETY_ROUNDS):
        digest = hashlib.sha512(digest + account).digest()
    return "".join(f"{int.from_bytes(digest[i : i + 5], 'big') % 100_000:05d}" for i in range(0, 30, 5))


def safety_number(one: bytes, other: bytes) -> str:
    """60 digits that two people compare: 30 for each account, lower first, in 12 groups of five.

    Six groups of 40 bits modulo 100,000 from an iterated SHA-512, as Signal computes its numeric fingerprints.
    """
    digits = "".join(sorted((_fingerprint(one), _fingerprint(other))))
    return " ".join(digits[i : i + 5] for i in range(0, 60, 5))
