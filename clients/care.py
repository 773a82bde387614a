"""Keeping groups true to device lists: new devices of ours are let in, devices that are on no list are put out.

What is to be done follows from the members of a group and the verified lists alone (``duty``), so it needs no memory:
whoever is online finds it out again after any crash. So that not everybody does it at once, members take turns: those
of the account in question first, then by leaf, each a moment after the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

import trio

from clients import records as R
from clients.commits import split
from clients.connection import Link, LinkDown, Refusal
from clients.directory import CannotAdd, Directory
from clients.outbox import Outbox
from clients.records import Status, Work
from clients.shelf import Shelf
from protocol.errors import RemoteProtocolError
from protocol.identity import DeviceList
from protocol.mls import Member

STEP_S: Final = 2.0  # between one member's turn and the next: a few round trips
PACKAGES_RETRY_S: Final = 30.0  # until a device of ours without key packages is asked for some again
REFRESH_ACCOUNTS_MAX: Final = 2000  # accounts whose lists are looked at after a login


@dataclass(frozen=True, slots=True)
class Duty:
    """What a group lacks. ``rank``: how many others come before us."""

    missing: tuple[bytes, ...] = ()  # devices of ours that are not in it
    drop: tuple[tuple[bytes, bytes], ...] = ()  # (account, device): revoked, and the account has others in it
    remove: tuple[bytes, ...] = ()  # accounts without any device
    rank: int = 0

    def __bool__(self) -> bool:
        return bool(self.missing or self.drop or self.remove)


def duty(members: tuple[Member, ...], own_leaf: int, own: bytes, known: Callable[[bytes], DeviceList | None]) -> Duty:
    """What is to be done about a group; ``own`` is our account, ``known`` gives newest verified lists. Pure."""
    devices = [split(member.identity) for member in members]
    listed = [(lst := known(account)) is None or lst.device(device) is not None for account, device in devices]
    stale = [pair for pair, good in zip(devices, listed, strict=True) if not good]
    staying = {account for (account, _), good in zip(devices, listed, strict=True) if good}
    empty = {account for account, _ in stale if (lst := known(account)) is not None and not lst.devices}
    drop = tuple(pair for pair in stale if pair[0] in staying and pair[0] not in empty)
    mine = known(own)
    missing = tuple(d.key for d in mine.devices if (own, d.key) not in devices) if mine is not None else ()
    concerned = {own} if missing else {account for account, _ in drop}
    able = [member for member, good in zip(members, listed, strict=True) if good]
    able.sort(key=lambda member: (split(member.identity)[0] not in concerned, member.leaf))
    rank = next((place for place, member in enumerate(able) if member.leaf == own_leaf), -1)
    if rank < 0:  # we are not on our own list any more: nothing of this is ours to do
        return Duty()
    return Duty(missing, drop, tuple(sorted(empty)), rank)


class Care:
    """Does what ``duty`` finds, for all conversations of one client."""

    def __init__(self, shelf: Shelf, directory: Directory, outbox: Outbox) -> None:
        self._shelf = shelf
        self._directory = directory
        self._outbox = outbox
        self._wake = trio.Event()
        self._noticed: dict[bytes, float] = {}  # topic -> when its duty was first seen, by trio's clock
        self._first: set[bytes] = set()  # devices that we ourselves linked or revoked: no turn to wait for
        self.ready: set[bytes] = set()  # devices of ours that said they have key packages
        self.changed = trio.Event()  # set and replaced whenever something was looked at
        self.plan: Callable[[R.Conversation, R.Plan], object] = lambda talk, plan: None
        self.extra: Callable[[], None] = lambda: None  # what else own devices owe each other

    def nudge(self) -> None:
        """Look again: a group or a list has changed."""
        self._wake.set()

    def hurry(self, device: bytes) -> None:
        """A device whose fate this one decided: do not wait for our turn."""
        self._first.add(device)
        self.nudge()

    def linked(self, device: bytes) -> None:
        """A new device of ours has key packages."""
        self.ready.add(device)
        self.nudge()

    @property
    def is_busy(self) -> bool:
        """Whether there is something for us to do now."""
        return self._wake.is_set() or bool(self._noticed)

    def lacking(self, device: bytes) -> list[bytes]:
        """Conversations that we are in and ``device`` of our account is not."""
        identity = self._shelf.account + device
        return [
            topic
            for topic, talk in self._shelf.conversations.items()
            if talk.status == Status.ACTIVE
            and (group := self._shelf.groups.get(topic)) is not None
            and all(member.identity != identity for member in group.members)
        ]

    # -- the loop ------------------------------------------------------------------------------------------------------
    async def run(self, link: Link) -> None:
        """Look after everything while a connection lasts."""
        is_fresh = False
        while True:
            self._wake = trio.Event()
            wait_s = inf
            try:
                if not is_fresh:
                    await self._refresh(link)
                    is_fresh = True
                wait_s = await self._round(link)
            except (Refusal, RemoteProtocolError):
                wait_s = PACKAGES_RETRY_S
            except LinkDown:
                return
            self.changed.set()
            self.changed = trio.Event()
            with trio.move_on_after(wait_s):
                await self._wake.wait()

    async def _refresh(self, link: Link) -> None:
        """The lists of everybody we share a conversation with: who was away hears of revocations now."""
        accounts: dict[bytes, None] = {}
        for topic in self._by_recency():
            accounts.update(dict.fromkeys(sorted(self._shelf.conversations[topic].roster)))
        wanted = [account for account in accounts if account != self._shelf.account][:REFRESH_ACCOUNTS_MAX]
        await self._directory.fetch(link, wanted)

    def _by_recency(self) -> list[bytes]:
        """Topics of active conversations, those where something happened last first."""
        talks = [talk for talk in self._shelf.conversations.values() if talk.status == Status.ACTIVE]
        return [talk.topic for talk in sorted(talks, key=lambda talk: -talk.heard_ms)]

    async def _round(self, link: Link) -> float:
        """Do what is due; seconds until more is."""
        self.extra()
        wait_s = inf
        for topic in self._by_recency():
            found = self._duty(topic)
            if not found:
                self._noticed.pop(topic, None)
                continue
            since = self._noticed.setdefault(topic, trio.current_time())
            left_s = since + found.rank * STEP_S - trio.current_time()
            own = {*found.missing, *(device for _, device in found.drop)}
            if left_s > 0 and not own & self._first:
                wait_s = min(wait_s, left_s)
            elif not await self._act(link, topic, found):
                wait_s = min(wait_s, PACKAGES_RETRY_S)
        return wait_s

    def _duty(self, topic: bytes) -> Duty:
        talk, group = self._shelf.conversations[topic], self._shelf.groups.get(topic)
        if group is None or talk.status != Status.ACTIVE or self._shelf.is_silent(talk):
            return Duty()
        if any(row.work == Work.COMMIT for row in self._outbox.lane(topic).rows):
            return Duty()  # its echo will wake us
        return duty(group.members, group.own_leaf, self._shelf.account, self._directory.known)

    async def _act(self, link: Link, topic: bytes, found: Duty) -> bool:
        """Plan the commit. False: there is no key package to add a device with."""
        additions: tuple[R.Addition, ...] = ()
        if found.missing:
            try:
                additions = await self._directory.claim(link, [self._shelf.account], found.missing)
            except CannotAdd:
                additions = ()
        if not (additions or found.drop or found.remove):
            return False
        if self._duty(topic) == found:  # nothing has happened meanwhile
            self.plan(self._shelf.conversations[topic], R.Plan(add=additions, drop=found.drop, remove=found.remove))
        return bool(additions) or not found.missing


def caring(shelf: Shelf, directory: Directory, outbox: Outbox, plan: Callable[..., object]) -> Care:
    """A ``Care`` that plans quietly."""
    care = Care(shelf, directory, outbox)
    care.plan = partial(plan, quiet=True)
    return care
