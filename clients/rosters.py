"""Who is in a group, and who may be: credentials, access lists, and which group of a conversation a message is of."""

from __future__ import annotations

from typing import Final

from protocol.frames import AccessChange
from protocol.mls import Member

_NUMBER_BYTES: Final = 8


def identity_of(account: bytes, device: bytes) -> bytes:
    """The basic credential of a device: its account, then its key."""
    return account + device


def split(identity: bytes) -> tuple[bytes, bytes]:
    """(account, device) of a credential; (b"", b"") if it is none of ours."""
    return (identity[:32], identity[32:]) if len(identity) == 64 else (b"", b"")


def is_genuine(member: Member) -> bool:
    """Whether a leaf's key is that of the device which its credential names: or anybody could speak in its name."""
    return split(member.identity)[1] == member.signature_key


def accounts_of(members: tuple[Member, ...]) -> set[bytes]:
    """The accounts whose devices are in a group."""
    return {split(member.identity)[0] for member in members}


def fold(roster: dict[bytes, int], change: AccessChange) -> dict[bytes, int]:
    """The roster after an access change: adding a present account sets its role, removing an absent one is nothing."""
    result = {account: role for account, role in roster.items() if account not in change.removed}
    result.update(dict(change.added))
    return result


def number_of(body: bytes, topic: bytes) -> int | None:
    """Number of the group of ``topic`` that a commit is of, or founds; None: it says nothing of the kind.

    Every MLS message begins with version and wire format (2 bytes each) and the group's id with its length (RFC 9420
    sections 6 and 2.1.2). What it says is proven by joining the group only.
    """
    size = len(topic) + _NUMBER_BYTES
    said = body[4 : 5 + size]
    if len(said) != 1 + size or said[0] != size or not said.startswith(topic, 1):
        return None
    return int.from_bytes(said[-_NUMBER_BYTES:], "big")
