"""Device lists: whether one may follow another, and how the account's devices learn of it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from protocol.errors import Code, Reason
from protocol.ids import tagged_hash
from protocol.limits import DEVICES_MAX, ID_BYTES
from storage.base import Entry, Refused
from storage.extending import extend
from storage.facts import TopicFacts
from storage.flags import DEVICES


@dataclass(frozen=True, slots=True)
class Publication:
    """A device list that was verified by the caller."""

    account: bytes
    version: int
    signed: bytes
    expires_ms: int
    devices: tuple[bytes, ...]
    service: bool
    device: bytes  # that published it
    invite: bytes = b""  # hash of the invitation that founding the account uses up; empty: it needs none


def judge(new: Publication, version: int, known: Collection[bytes], foreign: int, now_ms: int) -> Refused | None:
    """Whether a list may follow ``version`` (0: none); the same version and bytes again are answered before.

    ``known``: devices listed now; ``foreign``: how many of the new ones belong to other accounts.
    """
    if new.version != version + 1:
        text = f"the current list has version {version}; make version {version + 1} from it"
        return Refused(Code.CONFLICT, text, Reason.VERSION)
    if len(new.devices) > DEVICES_MAX:
        return Refused(Code.TOO_LARGE, f"{len(new.devices)} devices; an account has at most {DEVICES_MAX}")
    if len(set(new.devices)) != len(new.devices):
        return Refused(Code.FRAME, "a device list names a device twice")
    if new.expires_ms <= now_ms:
        return Refused(Code.EXPIRED, "the device list has expired; sign a new one")
    if foreign:
        return Refused(Code.FORBIDDEN, f"{foreign} of the devices belong to another account; make new device keys")
    if new.device not in new.devices and new.device not in known:
        return Refused(Code.FORBIDDEN, "only a listed device may publish its account's list")
    return None


def not_invited() -> Refused:
    """What is said to whoever brings an invitation that is not in force."""
    return Refused(Code.FORBIDDEN, "the invitation is unknown, used up or too old; ask the operator for another")


def announce(inbox: TopicFacts, new: Publication, now_ms: int) -> tuple[TopicFacts, Entry, bytes]:
    """The entry flagged DEVICES that tells the account's own devices: (inbox with it, entry, digest)."""
    digest = tagged_hash("list", (new.account, new.version.to_bytes(8, "big"), new.signed))
    author = (new.account, new.device, now_ms.to_bytes(6, "big") + digest[: ID_BYTES - 6])
    topic, entry = extend(inbox, inbox, author, DEVICES, 0, 0, b"", new.signed, now_ms)
    return topic, entry, digest
