"""The next version of the own device list: who may sign it, and what stands in it. Pure, but for publishing it."""

from __future__ import annotations

import msgspec

from clients import records as R
from clients.account import signing_key
from clients.connection import Link
from clients.shelf import Shelf
from protocol import limits as L
from protocol.errors import ChappeError
from protocol.identity import Device, DeviceList, SigningKey, open_signed, sign_list
from protocol.requests import PublishList


class CannotSign(ChappeError):
    """This device may not make such a list; the text says which one may."""


def following(devices: DeviceList, members: tuple[Device, ...], now_ms: int) -> DeviceList:
    """The next version with other devices."""
    return msgspec.structs.replace(
        devices, version=devices.version + 1, created_ms=now_ms, expires_ms=now_ms + L.DEVICE_LIST_LIFE_MS,
        devices=members,
    )  # fmt: skip


def with_device(identity: R.Identity, device: bytes, inbox_key: bytes, now_ms: int) -> bytes:
    """The signed list with one more device. Raises ``CannotSign``; the same device again gives the list as it is."""
    devices = open_signed(identity.signed_list)
    known = devices.device(device)
    if known is not None and known.inbox_key == inbox_key:
        return identity.signed_list
    key = signing_key(identity, devices)
    if key is None:
        raise CannotSign("this device does not hold the account's root key; approve on your first device")
    if known is not None or len(devices.devices) >= L.DEVICES_MAX:
        raise CannotSign(f"an account has at most {L.DEVICES_MAX} different devices; revoke one first")
    return sign_list(following(devices, (*devices.devices, Device(device, inbox_key, now_ms, False)), now_ms), key)


def without_device(identity: R.Identity, device: bytes, own: SigningKey, now_ms: int) -> bytes:
    """The signed list without a device; any listed device may make it. Raises ``CannotSign``."""
    devices = open_signed(identity.signed_list)
    staying = tuple(entry for entry in devices.devices if entry.key != device)
    if len(staying) == len(devices.devices):
        raise CannotSign("no such device is on your list")
    key = signing_key(identity, devices)
    if key is not None:
        return sign_list(following(devices, staying, now_ms), key)
    # A device's revocation keeps the expiry of the list that it shortens (see ``protocol.identity``).
    shorter = msgspec.structs.replace(
        devices, version=devices.version + 1, created_ms=max(now_ms, devices.created_ms), devices=staying
    )
    return sign_list(shorter, own, identity.signed_list)


async def publish(shelf: Shelf, link: Link, signed: bytes) -> DeviceList:
    """Publish the own list, then remember it. Raises ``Refusal``, ``LinkDown``."""
    await link.ask("devices.publish", PublishList(signed), int)
    devices = open_signed(signed)
    shelf.identity.signed_list = signed
    shelf.save_identity()
    shelf.save_list(devices, signed)
    return devices
