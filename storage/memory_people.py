"""The rest of the dict model: accounts, key packages, blobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import trio

from protocol.errors import Code, Reason
from protocol.frames import Role
from protocol.ids import TopicKind, inbox_topic
from protocol.limits import KEY_PACKAGES_MAX
from storage.base import Account, Appended, Claimed, Login, Refused
from storage.blobs import check, over_quota
from storage.facts import Member, Stored, TopicFacts
from storage.lists import Publication, announce, judge, not_invited
from storage.logins import next_login
from storage.memory_model import Blob, Device, Log, Model
from storage.memory_slots import found_inboxes


class MemoryAccounts:
    """``base.Accounts`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store
        self._handles: dict[str, bytes] = {}
        self._answers: dict[bytes, Appended] = {}  # account → what its current list was answered with

    async def publish_list(
        self, account: bytes, version: int, signed: bytes, expires_ms: int, devices: Sequence[bytes], service: bool,
        device: bytes, invite: bytes = b"",
    ) -> Appended | Refused:  # fmt: skip
        """See ``base.Accounts``."""
        await trio.lowlevel.checkpoint()
        store, now_ms = self._store, self._store.clock_ms()
        new = Publication(account, version, signed, expires_ms, tuple(devices), service, device, invite)
        current = store.people.get(account)
        if current is not None and (current.version, current.signed) == (version, signed):
            return replace(self._answers[account], duplicate=True, entries=())
        known = [key for key, _ in store.listed(account)]
        foreign = sum(key in store.devices and store.devices[key].account != account for key in new.devices)
        refusal = judge(new, current.version if current is not None else 0, known, foreign, now_ms)
        if refusal is not None:
            return refusal
        if current is None and invite and not store.use_invite(invite, now_ms):
            return not_invited()
        handle = current.handle if current is not None and new.devices else None
        if not new.devices:
            self._forget(account, current)
        store.people[account] = Account(account, version, signed, expires_ms, new.devices, service, handle)
        for key, old in store.listed(account):
            if key not in new.devices:
                old.listed, old.last_resort = False, None
                old.packages.clear()
        for key in new.devices:
            store.devices.setdefault(key, Device(account, now_ms)).listed = True
        topic = inbox_topic(account)
        founded = Log(TopicFacts(topic, TopicKind.INBOX, account), {account: Member(account, Role.OWNER, 0, 0)})
        log = store.logs.setdefault(topic, founded)
        if service:
            found_inboxes(store, account)
        log.facts, entry, digest = announce(log.facts, new, now_ms)
        log.entries.append(entry)
        log.ids[device, entry.id] = Stored(entry.generation, entry.offset, entry.ts, digest)
        answer = Appended(entry.generation, entry.offset, entry.ts, False, (entry,))
        self._answers[account] = answer
        return answer

    def _forget(self, account: bytes, current: Account | None) -> None:
        """Nobody is behind the account any more."""
        if current is not None and current.handle is not None:
            del self._handles[current.handle]
        self._store.tokens.pop(account, None)
        for place in [place for place in self._store.lockers if place[0] == account]:
            del self._store.lockers[place]

    async def get(self, accounts: Sequence[bytes]) -> list[Account | None]:
        """In the order asked."""
        await trio.lowlevel.checkpoint()
        return [self._store.people.get(account) for account in accounts]

    async def login(self, account: bytes, device: bytes, number: int = 0, *, shared: bool = False) -> Login | Refused:
        """Raises ``LookupError`` if the device is not on the account's current list."""
        await trio.lowlevel.checkpoint()
        known = dict(self._store.listed(account)).get(device)
        if known is None:
            raise LookupError("the device is not on its account's current device list")
        recorded = next_login(known.login, number, self._store.clock_ms(), shared=shared)
        if isinstance(recorded, Refused):
            return recorded
        known.login = recorded
        known.seen_ms = self._store.clock_ms()
        return Login(known.login, len(known.packages))

    async def claim_handle(self, account: bytes, handle: str) -> Refused | None:
        """None: done."""
        await trio.lowlevel.checkpoint()
        person = self._store.people.get(account)
        if person is None:
            return Refused(Code.NOT_FOUND, "the account is not registered here")
        if self._handles.get(handle, account) != account:
            return Refused(Code.CONFLICT, "the handle belongs to another account", Reason.TAKEN)
        if person.handle is not None:
            del self._handles[person.handle]
        self._handles[handle] = account
        self._store.people[account] = replace(person, handle=handle)
        return None

    async def resolve_handle(self, handle: str) -> bytes | None:
        """The account of a handle."""
        await trio.lowlevel.checkpoint()
        return self._handles.get(handle)


class MemoryKeyPackages:
    """``base.KeyPackages`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def put(
        self, account: bytes, device: bytes, packages: Sequence[bytes], last_resort: bytes | None,
        most: int = KEY_PACKAGES_MAX,
    ) -> int:  # fmt: skip
        """How many one-time packages the device has then."""
        await trio.lowlevel.checkpoint()
        known = dict(self._store.listed(account)).get(device)
        if known is None:
            return 0
        known.last_resort = known.last_resort if last_resort is None else last_resort
        for package in packages:
            if len(known.packages) < most:
                known.packages.setdefault(package, self._store.clock_ms())
        return len(known.packages)

    async def claim(
        self, accounts: Sequence[bytes], *, devices: Collection[bytes] = (), strangers: Collection[bytes] = ()
    ) -> list[Claimed]:
        """One per listed device."""
        await trio.lowlevel.checkpoint()
        claimed = []
        for account in dict.fromkeys(accounts):
            person = self._store.people.get(account)
            for key in person.devices if person is not None else ():
                device = self._store.devices[key]
                if devices and key not in devices:
                    continue
                if device.packages and account not in strangers:
                    package = next(iter(device.packages))
                    del device.packages[package]
                    claimed.append(Claimed(account, key, package, False, len(device.packages)))
                elif device.last_resort is not None:
                    claimed.append(Claimed(account, key, device.last_resort, True, 0))
        return claimed


class MemoryBlobs:
    """``base.Blobs`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def put(
        self, digest: bytes, data: bytes, *, account: bytes | None = None, quota_bytes: int = 0
    ) -> Refused | None:
        """Raises ``ValueError`` if the hash is another."""
        check(digest, data)
        await trio.lowlevel.checkpoint()
        payer = account if account in self._store.people else None
        if digest not in self._store.heap:
            refusal = over_quota(self._used(payer), len(data), quota_bytes)
            if refusal is not None:
                return refusal
        blob = self._store.heap.setdefault(digest, Blob(data, 0, account=payer))
        blob.added_ms = self._store.clock_ms()
        return None

    async def get(self, digest: bytes) -> bytes | None:
        """None: unknown, or freed."""
        await trio.lowlevel.checkpoint()
        blob = self._store.heap.get(digest)
        return blob.data if blob is not None else None

    async def size(self, digest: bytes) -> int | None:
        """None: unknown, or freed."""
        data = await self.get(digest)
        return None if data is None else len(data)

    async def read(self, digest: bytes, start: int, count: int) -> bytes | None:
        """None: unknown, or freed."""
        data = await self.get(digest)
        return None if data is None else data[start : start + count]

    async def renew(self, digests: Sequence[bytes]) -> list[bool]:
        """Which of them are stored."""
        await trio.lowlevel.checkpoint()
        for digest in digests:
            if digest in self._store.heap:
                self._store.heap[digest].added_ms = self._store.clock_ms()
        return [digest in self._store.heap for digest in digests]

    async def used(self, account: bytes) -> int:
        """Bytes of the living blobs that an account pays for."""
        await trio.lowlevel.checkpoint()
        return self._used(account)

    def _used(self, account: bytes | None) -> int:
        return sum(len(blob.data) for blob in self._store.heap.values() if account and blob.account == account)


class MemoryContacts:
    """``base.Contacts`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def set_tokens(self, account: bytes, hashes: Sequence[bytes]) -> None:
        """Replace the hashes."""
        await trio.lowlevel.checkpoint()
        if account in self._store.people:
            self._store.tokens[account] = set(hashes)

    async def known(self, account: bytes, tokens: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
        """Itself, and those of whose tokens one was shown."""
        await trio.lowlevel.checkpoint()
        return {account, *(owner for owner, token in tokens if self._store.recognises(owner, account, token))}


class MemoryLockers:
    """``base.Lockers`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def put(self, account: bytes, kind: int, slot: bytes, sealed: bytes, life_ms: int) -> bool:
        """False: the slot is somebody else's."""
        await trio.lowlevel.checkpoint()
        lockers = self._store.lockers
        taken = any(k == kind and s == slot and a != account for (a, k), (s, _, _) in lockers.items())
        if taken or account not in self._store.people:
            return False
        lockers[account, kind] = (slot, sealed, self._store.clock_ms() + life_ms if life_ms else 0)
        return True

    async def get(self, kind: int, slot: bytes, now_ms: int) -> bytes | None:
        """None: there is nothing, or not any more."""
        await trio.lowlevel.checkpoint()
        for (_, known), (place, sealed, expires_ms) in self._store.lockers.items():
            if (known, place) == (kind, slot) and (not expires_ms or expires_ms > now_ms):
                return sealed
        return None
