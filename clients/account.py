"""Beginning: a new account with its first device, and what a device keeps fresh at the relay."""

from __future__ import annotations

import msgspec
from nacl import bindings as sodium

from clients import records as R
from clients.commits import identity_of
from clients.connection import Link, Refusal
from clients.proof import answer_refusal
from clients.shelf import Shelf
from clients.vault import Batch, Vault
from protocol import limits as L
from protocol.identity import Device, DeviceList, SigningKey, is_expired, open_signed, sign_list
from protocol.ids import Entropy
from protocol.mls import generate_key_package
from protocol.requests import PublishList, PutKeyPackages

_DAY_S = 86_400


def has_identity(vault: Vault) -> bool:
    """Whether a vault belongs to somebody already."""
    return vault.get(R.META, b"identity") is not None


def create_identity(vault: Vault, now_ms: int, entropy: Entropy, *, service: bool = False) -> R.Identity:
    """Make an account: root key, recovery key, and this device as the first, primary one. Durable on return.

    ``service``: a worker, which serves everyone.
    """
    root, recovery, device = (SigningKey(entropy(32)) for _ in range(3))
    inbox_private = entropy(32)
    inbox_public = sodium.crypto_scalarmult_base(inbox_private)
    devices = DeviceList(
        root.public, 1, now_ms, now_ms + L.DEVICE_LIST_LIFE_MS,
        (Device(device.public, inbox_public, now_ms, True),), recovery.public, service,
    )  # fmt: skip
    identity = R.Identity(
        root.public, root.seed, device.seed, inbox_private, inbox_public, sign_list(devices, root),
        recovery_seed=recovery.seed,
    )  # fmt: skip
    batch = Batch()
    batch.put(R.META, b"identity", msgspec.msgpack.encode(identity))
    batch.put(R.META, b"inbox", msgspec.msgpack.encode(R.InboxCursor()))
    vault.commit([batch])
    return identity


async def register(shelf: Shelf, link: Link, known_version: int, invite: bytes | None = None) -> None:
    """Publish our device list where the relay has none that is in force. Raises ``Refusal``, ``LinkDown``.

    ``known_version``: of the list that the relay has, 0 if none. A list that ran out meanwhile (30 days without a
    connection) is signed anew first; only primaries can. ``invite``: token of an invitation. A relay that wants a proof
    of work gets it.
    """
    devices = open_signed(shelf.identity.signed_list)
    key = signing_key(shelf.identity, devices)
    if is_expired(devices, shelf.clock_ms()) and key is not None:
        await _publish_renewed(shelf, link, key, devices, known_version + 1)
    else:
        await _publish_first(shelf, link, invite)


async def _publish_first(shelf: Shelf, link: Link, invite: bytes | None) -> None:
    try:
        await link.ask("devices.publish", PublishList(shelf.identity.signed_list, invite), int)
    except Refusal as refusal:
        proof = await answer_refusal(refusal, link, shelf.account)
        await link.ask("devices.publish", PublishList(shelf.identity.signed_list, invite, proof), int)


async def renew_list(shelf: Shelf, link: Link) -> None:
    """Sign the device list anew when it is a week old, so that it never runs out. Only primaries can."""
    identity = shelf.identity
    devices = open_signed(identity.signed_list)
    key = signing_key(identity, devices)
    if key is None or shelf.clock_ms() < devices.created_ms + L.DEVICE_LIST_RENEW_MS:
        return
    await _publish_renewed(shelf, link, key, devices, devices.version + 1)


def signing_key(identity: R.Identity, devices: DeviceList) -> SigningKey | None:
    """The key that may sign any list after ``devices``; None on devices that hold none."""
    seed = identity.recovery_seed if devices.recovered else identity.root_seed
    return None if seed is None else SigningKey(seed)


async def _publish_renewed(shelf: Shelf, link: Link, key: SigningKey, devices: DeviceList, version: int) -> None:
    now = shelf.clock_ms()
    renewed = msgspec.structs.replace(
        devices, version=version, created_ms=now, expires_ms=now + L.DEVICE_LIST_LIFE_MS
    )  # fmt: skip
    signed = sign_list(renewed, key)
    await link.ask("devices.publish", PublishList(signed), int)
    shelf.identity.signed_list = signed
    shelf.save_identity()


async def refill_key_packages(shelf: Shelf, link: Link, left: int) -> None:
    """Keep enough one-time key packages at the relay, and one of last resort. Private halves are durable first."""
    now_ms = shelf.clock_ms()
    _drop_old(shelf, now_ms)
    missing = L.KEY_PACKAGES_TARGET - left if left < L.KEY_PACKAGES_TARGET // 2 else 0
    fresh = [_make(shelf, now_ms) for _ in range(missing)]
    resort = None
    if not any(package.last_resort for package in shelf.packages.values()):
        resort = _make(shelf, now_ms, last_resort=True)
    if not fresh and resort is None:
        return
    await shelf.journal.flushed()
    public = None if resort is None else resort.public
    await link.ask("keypackages.put", PutKeyPackages(tuple(p.public for p in fresh), public), int)


def _make(shelf: Shelf, now_ms: int, *, last_resort: bool = False) -> R.Package:
    now_s = now_ms // 1000
    pair = generate_key_package(
        identity=identity_of(shelf.account, shelf.device.public), signature_private=shelf.device.seed,
        not_before_s=now_s - _DAY_S, not_after_s=now_s + L.KEY_PACKAGE_LIFE_S, last_resort=last_resort,
        entropy=shelf.entropy,
    )  # fmt: skip
    package = R.Package(pair.ref, pair.key_package, pair.private, now_ms, last_resort)
    shelf.save_package(package)
    return package


def _drop_old(shelf: Shelf, now_ms: int) -> None:
    """Private halves outlive their packages by a day at most; a last-resort one is replaced at half its life."""
    for package in list(shelf.packages.values()):
        life_ms = L.KEY_PACKAGE_LIFE_S * 1000
        age = now_ms - package.made_ms
        if age > life_ms + _DAY_S * 1000 or (package.last_resort and age > life_ms // 2):
            shelf.drop_package(package.ref)
