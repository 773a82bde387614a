"""What two devices that are being linked leave for each other at the relay, and how one looks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import msgspec
import trio

from clients.connection import Link, LinkDown, Refusal, monotonic_ms, open_link
from clients.devices.code import LinkCode
from clients.records import InboxCursor
from clients.sealing import Opened, open_box, seal_box
from clients.shelf import Shelf
from clients.tasks import open_tasks
from clients.vault import Vault
from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import ChappeError, Code, RemoteProtocolError
from protocol.frames import AnyFrame, Key
from protocol.identity import SigningKey
from protocol.ids import Entropy, link_slot
from protocol.requests import GetLink, PutLink, SignedList

ADMISSION, ARCHIVE = 1, 2  # steps: who you are now; what was before
LOOK_S = 1.0  # between two looks
AGENT = "chappe/0.1 (linking)"
P = TypeVar("P", bound="Parcel")


class LinkFailed(ChappeError):
    """Linking, or recovery, came to nothing; the text says why and what to do."""


class Parcel(msgspec.Struct, frozen=True, array_like=True):
    """Base of what is in a box. ``secret`` proves that whoever sealed it has read the code."""

    secret: bytes


class Admission(Parcel, frozen=True):
    """You are a device of this account now."""

    signed_list: SignedList
    inbox: tuple[int, int, bytes]  # where to begin in the inbox: generation, cursor, chain


class ArchiveKey(Parcel, frozen=True):
    """Where the archive is, and what opens it. No hashes: it was too large, or there is none."""

    key: Key
    hashes: tuple[Key, ...]


def inbox_place(cursor: InboxCursor) -> tuple[int, int, bytes]:
    """A position in the inbox as it travels."""
    return cursor.generation, cursor.cursor, cursor.chain


async def leave(
    link: Link, code: LinkCode, step: int, parcel: Parcel, *, account: bytes, sender: SigningKey, entropy: Entropy
) -> None:
    """Seal a parcel for the new device and leave it. Raises ``Refusal``, ``LinkDown``, ``ValueError`` (too large)."""
    slot = link_slot(code.secret, step)
    sealed = seal_box(
        msgspec.msgpack.encode(parcel), recipient=code.device, inbox_key=code.inbox_key,
        message_id=slot[: L.ID_BYTES], account=account, sender=sender, entropy=entropy,
    )  # fmt: skip
    await link.ask("link.put", PutLink(slot, sealed), type(None))


async def find(
    link: Link, code: LinkCode, step: int, inbox_private: bytes, type_: type[P]
) -> tuple[Opened, P] | None:  # fmt: skip
    """Look for a parcel once. None: it is not there yet. Raises ``LinkFailed`` if somebody else has sealed it."""
    slot = link_slot(code.secret, step)
    try:
        sealed = await link.ask("link.get", GetLink(slot), bytes)
    except Refusal as error:
        if error.code == Code.NOT_FOUND or error.retry_ms is not None:
            return None
        raise LinkFailed(f"the relay does not help in linking: {error.text}") from None
    try:
        opened = open_box(
            sealed, device=code.device, inbox_private=inbox_private, message_id=slot[: L.ID_BYTES]
        )  # fmt: skip
        parcel = None if opened is None else decode_struct(opened.content, type_)
    except RemoteProtocolError as error:
        raise LinkFailed(f"what the other device left cannot be opened: {error.text}") from None
    if opened is None or parcel is None or parcel.secret != code.secret:
        raise LinkFailed("what was left for this device is not from whoever read its code; start again")
    return opened, parcel


async def wait_for(
    link: Link, code: LinkCode, step: int, inbox_private: bytes, type_: type[P]
) -> tuple[Opened, P]:  # fmt: skip
    """Look for a parcel until it is there."""
    while True:
        found = await find(link, code, step, inbox_private, type_)
        if found is not None:
            return found
        await trio.sleep(LOOK_S)


@asynccontextmanager
async def open_shelf(vault: Vault, clock_ms: Callable[[], int], entropy: Entropy) -> AsyncIterator[Shelf]:
    """What a vault holds, with its journal, for as long as no client runs over it."""
    shelf = Shelf(vault, lambda told: None, clock_ms, entropy)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shelf.journal.run)
        yield shelf
        await shelf.journal.flushed()
        nursery.cancel_scope.cancel()


async def _ignore(frames: list[AnyFrame]) -> None:
    """Nothing is subscribed: whatever comes is for nobody."""


@asynccontextmanager
async def open_bare(
    url: str, key: SigningKey, account: bytes, version: int, entropy: Entropy
) -> AsyncIterator[Link]:  # fmt: skip
    """A connection without a client. Raises ``LinkDown``."""
    async with open_link(url, monotonic_ms) as link:
        await link.log_in(key, account, version, AGENT, entropy)
        async with open_tasks((LinkDown,)) as nursery:
            nursery.start_soon(link.run, _ignore)
            yield link
            nursery.cancel_scope.cancel()
