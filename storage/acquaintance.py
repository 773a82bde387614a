"""The seams of what an account keeps at the relay for others to find: tokens of its contacts, sealed parcels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Contacts(Protocol):
    """Hashes of the tokens by which accounts recognise their contacts."""

    async def set_tokens(self, account: bytes, hashes: Sequence[bytes]) -> None:
        """Replace the hashes of an account; see ``ids.contact_hash``."""
        ...

    async def known(self, account: bytes, tokens: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
        """Which accounts take ``account`` for a contact, of (account, token) shown: itself always."""
        ...


class Lockers(Protocol):
    """Sealed parcels that somebody without a registered device can fetch: at most one of a kind an account."""

    async def put(self, account: bytes, kind: int, slot: bytes, sealed: bytes, life_ms: int) -> bool:
        """Replace the account's parcel of this kind; ``life_ms`` 0: for ever. False: the slot is somebody else's."""
        ...

    async def get(self, kind: int, slot: bytes, now_ms: int) -> bytes | None:
        """The parcel in a slot, unless there is none or its time is over."""
        ...
