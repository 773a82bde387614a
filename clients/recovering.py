"""After the relay was restored from a backup: an admin of each conversation starts its encryption anew.

A restored topic takes nothing but a *reset*: a fresh group of the same people. Who they are comes from the last state
that this client has verified, never from the relay's list, which is as old as the backup; the relay's list only says
what has to be changed in it. So that not every admin does it at once they take turns, the highest role first; who
comes second finds it done.

What was said after the backup is in the histories of those who have it, and is not sent again: only what was not
delivered to us as stored is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Final

import trio

from clients import records as R
from clients.connection import Link, LinkDown, Refusal
from clients.directory import CannotAdd, Directory
from clients.records import Status
from clients.shelf import Shelf
from protocol.errors import RemoteProtocolError
from protocol.frames import Role
from protocol.identity import open_signed
from protocol.requests import GetMembers, PublishList

STEP_S: Final = 3.0  # between one admin's turn and the next: time to claim key packages, and to hear of it
RETRY_S: Final = 30.0  # until a reset that did not come about is tried again


class Recovering:
    """Starts encryption anew where that is ours to do, for all conversations of one client."""

    def __init__(self, shelf: Shelf, directory: Directory, plan: Callable[..., bytes]) -> None:
        self._shelf = shelf
        self._directory = directory
        self._plan = plan
        self._wake = trio.Event()
        self._due: dict[bytes, float] = {}  # topic -> when it is our turn, by trio's clock

    def nudge(self) -> None:
        """Look again."""
        self._wake.set()

    async def run(self, link: Link, known_version: int) -> None:
        """Look after restored conversations while a connection lasts. ``known_version``: of our list at the relay."""
        with suppress(Refusal, RemoteProtocolError, LinkDown):
            await self._offer_list(link, known_version)
        self._due.clear()
        while True:
            self._wake = trio.Event()
            try:
                wait_s = await self._round(link)
            except LinkDown:
                return
            with trio.move_on_after(wait_s):
                await self._wake.wait()

    async def _offer_list(self, link: Link, known_version: int) -> None:
        """The relay has lost the last version of our device list: here it is."""
        signed = self._shelf.identity.signed_list
        if 0 < known_version < open_signed(signed).version:
            await link.ask("devices.publish", PublishList(signed), int)

    async def _round(self, link: Link) -> float:
        """Do what is due; seconds until more is."""
        wait_s, now = inf, trio.current_time()
        for talk in list(self._shelf.conversations.values()):
            rank = self.rank(talk) if talk.recovering else None
            if rank is None:
                self._due.pop(talk.topic, None)
                continue
            due = self._due.setdefault(talk.topic, now + rank * STEP_S)
            if due <= now:
                with suppress(Refusal, RemoteProtocolError, CannotAdd):  # tried again
                    await self._reset(link, talk)
                self._due[talk.topic] = due = trio.current_time() + RETRY_S
            wait_s = min(wait_s, due - trio.current_time())
        return max(wait_s, 0.0)

    def rank(self, talk: R.Conversation) -> int | None:
        """How many come before us; None: it is not ours to do."""
        admins = sorted((-role, account) for account, role in talk.roster.items() if role >= Role.ADMIN)
        mine = (-talk.roster.get(self._shelf.account, 0), self._shelf.account)
        if mine not in admins or talk.status not in (Status.ACTIVE, Status.LOCKED, Status.WAITING):
            return None
        devices = sorted(device.key for device in open_signed(self._shelf.identity.signed_list).devices)
        own = self._shelf.device.public
        return admins.index(mine) + (devices.index(own) if own in devices else len(devices))

    async def _reset(self, link: Link, talk: R.Conversation) -> None:
        if any(row.topic == talk.topic and row.plan and row.plan.reset for row in self._shelf.outgoing.values()):
            return
        members = await link.ask("topics.members", GetMembers(talk.topic), list[tuple[bytes, int]])
        additions = await self._claim(link, talk.roster)
        if talk.recovering:
            roles, removed = difference(dict(members), talk.roster)
            self._plan(talk, R.Plan(add=additions, roles=roles, remove=removed, reset=True), quiet=True)

    async def _claim(self, link: Link, accounts: Iterable[bytes]) -> tuple[R.Addition, ...]:
        """Key packages of everybody who has any; who has none now asks to be let in later."""
        wanted = sorted(accounts)
        try:
            found = await self._directory.claim(link, wanted)
        except CannotAdd:
            found = ()
            for account in wanted:
                with suppress(CannotAdd):
                    found += await self._directory.claim(link, [account])
        return tuple(addition for addition in found if addition.device != self._shelf.device.public)


def difference(
    theirs: dict[bytes, int], ours: dict[bytes, int]
) -> tuple[tuple[tuple[bytes, int], ...], tuple[bytes, ...]]:
    """(roles to give, accounts to remove) that make the relay's access list ours. Pure."""
    roles = tuple(sorted((account, role) for account, role in ours.items() if theirs.get(account) != role))
    return roles, tuple(sorted(set(theirs) - set(ours)))
