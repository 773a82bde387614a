"""Giving an account up: out of every conversation, then an empty device list, which nothing can follow but its keys.

An empty list ends every device at once, frees the handle, and takes the contact tokens and what a recovery code opens
from the relay. What was said stays with those to whom it was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import trio

from clients.account import signing_key
from clients.connection import LinkDown, Refusal
from clients.devices.lists import following
from clients.devices.party import Party
from clients.records import Status
from clients.shelf import Shelf
from protocol.errors import ChappeError
from protocol.identity import open_signed, sign_list
from protocol.ids import TopicKind
from protocol.requests import PublishList

LEAVE_S: Final = 20.0  # for leaving conversations; what is not left by then loses the devices all the same


class NotDeleted(ChappeError):
    """The account could not be given up; the text says why. The vault is as it was."""


@dataclass(frozen=True, slots=True)
class Farewell:
    """What became of an account's conversations."""

    left: int  # the others saw us leave
    kept: int  # nobody was told; members' clients put the devices out


def empty_list(shelf: Shelf) -> bytes:
    """The signed list without any device: by the root where it is here, else by this device."""
    devices, now_ms = open_signed(shelf.identity.signed_list), shelf.clock_ms()
    key = signing_key(shelf.identity, devices)
    if key is not None:
        return sign_list(following(devices, (), now_ms), key)
    shorter = msgspec.structs.replace(
        devices, version=devices.version + 1, created_ms=max(now_ms, devices.created_ms), devices=()
    )
    return sign_list(shorter, shelf.device, shelf.identity.signed_list)


async def leave_all(client: Party) -> Farewell:
    """Leave every conversation that can be left; waits for the relay, but not for ever."""
    shelf, outbox = client.engine.shelf, client.engine.outbox
    active = [
        talk for talk in shelf.conversations.values()
        if talk.status == Status.ACTIVE and talk.kind in (TopicKind.GROUP, TopicKind.PAIR) and not talk.request
    ]  # fmt: skip
    for talk in active:
        client.engine.leave(talk)
    await shelf.journal.flushed()
    with trio.move_on_after(LEAVE_S):
        while any(outbox.lane(talk.topic).rows for talk in active):
            with trio.move_on_after(1):
                await client.wait_news()
    left = sum(not outbox.lane(talk.topic).rows for talk in active)
    return Farewell(left, len(active) - left)


async def give_up(client: Party) -> None:
    """Publish the empty list. Raises ``NotDeleted``."""
    shelf, link = client.engine.shelf, await client.wait_connected()
    signed = empty_list(shelf)
    try:
        await link.ask("devices.publish", PublishList(signed), int)
    except LinkDown as error:
        raise NotDeleted(f"the relay did not say whether the account is given up ({error}); try again") from None
    except Refusal as error:
        raise NotDeleted(f"the relay does not take the account away: {error.text}") from None
