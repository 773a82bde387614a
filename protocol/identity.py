"""Who is who: root keys, signed versioned device lists, the login challenge, safety numbers.

An account *is* an Ed25519 root key. Its devices are one signed list with a version and an expiry; readers refuse a
lower version, so a relay can hide a revocation for at most the life of a list. Three keys may sign a list:

* the root key: anything;
* a device of the previous list: revocation only (fewer devices, nothing else changes but version and creation time);
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


def sign_list(devices: DeviceList, signer: SigningKey) -> bytes:
    """The list as published: bytes, signer, signature over exactly those bytes."""
    body = encode_struct(devices)
    return encode_struct(_Signed(body, signer.public, signer.sign(_LIST, body)))


def verify_list(signed: bytes, previous: DeviceList | None = None, *, account: bytes | None = None) -> DeviceList:
    """Check a signed device list against the one known before. Raises IdentityError or RemoteProtocolError.

    ``previous`` None: the first list seen of this account (any version, since a stranger may be at version 9). The same
    version with other bytes, a lower version, another account and a signer without the right are refused. Expiry is not
    judged here (see ``is_expired``): an expired list still tells who signed what.
    """
    outer = decode_struct(signed, _Signed)
    devices = decode_struct(outer.body, DeviceList)
    if account is not None and devices.account != account:
        raise IdentityError("this device list belongs to another account")
    if not verify(outer.signer, _LIST, outer.body, outer.signature):
        raise IdentityError("the signature of the device list does not verify")
    _check_shape(devices)
    if previous is None:
        _check_first(devices, outer.signer)
    else:
        _check_next(devices, outer.signer, previous)
    return devices


def _check_shape(devices: DeviceList) -> None:
    check_key(devices.account)
    keys = [device.key for device in devices.devices]
    if len(set(keys)) != len(keys):
        raise IdentityError("a device is listed twice")
    for key in keys:
        check_key(key)
    if not devices.created_ms < devices.expires_ms <= devices.created_ms + L.DEVICE_LIST_LIFE_MS:
        raise IdentityError("a device list lives at most 30 days from its creation")
    if devices.recovery:
        check_key(devices.recovery)


def _check_first(devices: DeviceList, signer: bytes) -> None:
    rightful = devices.recovery if devices.recovered else devices.account
    # A revocation-only list signed by a device cannot be judged without the one before it; ask for the account again
    # once its root has renewed. Accepting it would let any device add devices towards strangers.
    if signer != rightful:
        raise IdentityError("the first list seen of an account must be signed by its root or recovery key")


def _check_next(devices: DeviceList, signer: bytes, previous: DeviceList) -> None:
    if devices.account != previous.account:
        raise IdentityError("this device list belongs to another account")
    if devices.version < previous.version:
        raise IdentityError(f"version {devices.version} is older than version {previous.version}, which is known")
    if devices.version == previous.version:
        if devices != previous:
            raise IdentityError(f"two different lists claim version {devices.version}")
        return
    if devices.recovery != previous.recovery:
        raise IdentityError("the recovery key is fixed by version 1")
    if previous.recovered and not devices.recovered:
        raise IdentityError("this account was recovered; its old root key no longer counts")
    if signer == devices.recovery and devices.recovered:
        return
    if signer == devices.account and not devices.recovered:
        return
    if previous.device(signer) is None:
        raise IdentityError("the signer is neither the root key, the recovery key nor a listed device")
    kept = set(devices.devices)
    same = (devices.service, devices.recovered, devices.expires_ms) == (
        previous.service, previous.recovered, previous.expires_ms,
    )  # fmt: skip
    if not (same and kept < set(previous.devices)):
        raise IdentityError("a device may only revoke; adding or changing devices needs the root key")


def is_expired(devices: DeviceList, now_ms: int) -> bool:
    """Whether the list has run out: no adds any more, and its messages are marked."""
    return now_ms >= devices.expires_ms


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
