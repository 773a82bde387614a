"""The dict model of the store: slow, small and obviously right. Tests compare other backends with it.

It shares with them only what is pure: the decisions in ``ordering`` and ``lists``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import trio
from msgspec import structs

from protocol.frames import GapReason, Role
from protocol.ids import PUBLIC_KINDS, TopicKind, slot_of
from protocol.limits import (
    BLOB_UNLINKED_MS,
    COMMIT_SPACING_MS,
    DEVICE_UNSEEN_MS_MAX,
    KEY_PACKAGE_LIFE_S,
)
from storage.base import (
    Append,
    Appended,
    Entry,
    Freed,
    Hole,
    Outcome,
    Page,
    Refused,
    StoreStatistics,
    TopicState,
)
from storage.facts import (
    FORGET_MS,
    LEFT,
    AccountFacts,
    Facts,
    Member,
    Plan,
    Stored,
    Target,
    TopicFacts,
)
from storage.flags import KEPT
from storage.memory_admission import MemoryAdmission
from storage.memory_model import Blob, Log, Model
from storage.memory_people import MemoryAccounts, MemoryBlobs, MemoryContacts, MemoryKeyPackages, MemoryLockers
from storage.memory_reports import MemoryReports
from storage.memory_slots import MemorySlots
from storage.ordering import CONVERSATION, decide, decide_reserve


class MemoryStore:
    """``base.Store`` in dicts; lost with the process."""

    def __init__(self, *, clock_ms: Callable[[], int], spacing_ms: int = COMMIT_SPACING_MS) -> None:
        model = Model(clock_ms, spacing_ms)
        self._model = model
        self.topics = MemoryTopics(model)
        self.accounts = MemoryAccounts(model)
        self.key_packages = MemoryKeyPackages(model)
        self.blobs = MemoryBlobs(model)
        self.contacts = MemoryContacts(model)
        self.lockers = MemoryLockers(model)
        self.admission = MemoryAdmission(model)
        self.reports = MemoryReports(model)
        self.slots = MemorySlots(model)

    def statistics(self) -> StoreStatistics:
        """Counts; nothing ever queues."""
        size = sum(len(entry.body) for log in self._model.logs.values() for entry in log.entries)
        counts = self._model.counts
        return StoreStatistics(queued=0, batch_max=1, commit_ms_p50=0.0, commit_ms_p99=0.0, bytes=size, **counts)


class MemoryTopics:
    """``base.Topics`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    def append_nowait(self, intent: Append, done: Callable[[Outcome], None]) -> None:
        """Decide at once, answer in the next tick."""
        trio.lowlevel.current_trio_token().run_sync_soon(done, self._append(intent))

    async def append(self, intent: Append) -> Outcome:
        """Append and wait."""
        await trio.lowlevel.checkpoint()
        return self._append(intent)

    async def state(self, topic: bytes, account: bytes) -> TopicState | None:
        """None: unknown, or not this account's."""
        return (await self.states([topic], account))[0]

    async def states(self, topics: Sequence[bytes], account: bytes) -> list[TopicState | None]:
        """The same for many."""
        await trio.lowlevel.checkpoint()
        return [self._state(topic, account) for topic in topics]

    async def read(self, topic: bytes, after: int, entries_max: int, bytes_max: int) -> Page:
        """Raises ``LookupError`` if the topic is unknown."""
        await trio.lowlevel.checkpoint()
        log = self._store.logs[topic]
        items: list[Entry | Hole] = []
        size = 0
        for entry in log.entries[max(after, 0) :]:
            last = items[-1] if items else None
            if entry.erased and isinstance(last, Hole):
                items[-1] = replace(last, last=entry.offset, hash=entry.hash)
                continue
            size += len(entry.header) + len(entry.body)
            if items and (len(items) >= entries_max or size > bytes_max):
                break
            items.append(Hole(entry.offset, entry.offset, GapReason.RETENTION, entry.hash) if entry.erased else entry)
        return Page(log.facts.generation, log.facts.head, tuple(items))

    async def members(self, topic: bytes) -> list[tuple[bytes, int, int]]:
        """(account, role, since), by account."""
        await trio.lowlevel.checkpoint()
        rows = sorted(self._store.logs[topic].members.items()) if topic in self._store.logs else []
        return [(account, member.role, member.since) for account, member in rows if member.role != LEFT]

    async def of_account(self, account: bytes, after: bytes, limit: int) -> list[tuple[bytes, int, int]]:
        """(topic, kind, role), by topic."""
        await trio.lowlevel.checkpoint()
        found = [
            (topic, int(log.facts.kind), log.members[account].role)
            for topic, log in sorted(self._store.logs.items())
            if topic > after and log.facts.kind in CONVERSATION and account in log.members
        ]
        return [row for row in found if row[2] != LEFT][:limit]

    async def acquainted(self, account: bytes, others: Sequence[bytes], members_max: int) -> set[bytes]:
        """See ``base.Topics``."""
        await trio.lowlevel.checkpoint()
        found: set[bytes] = set()
        for log in self._store.logs.values():
            here = {key for key, member in log.members.items() if member.role != LEFT}
            if log.facts.kind in CONVERSATION and account in here and len(here) <= members_max:
                found |= here
        return found.intersection(others)

    async def reserve(self, topic: bytes, account: bytes, device: bytes) -> int | Refused:
        """See ``ordering.decide_reserve``."""
        await trio.lowlevel.checkpoint()
        now_ms, log, known = self._store.clock_ms(), self._store.logs.get(topic), self._store.devices.get(device)
        mine = known is not None and known.account == account
        member = log.members.get(account) if log is not None and mine else None
        made_ms = log.reserved_ms.get(device) if log is not None else None
        until_ms = decide_reserve(
            log.facts if log is not None else None, member.role if member is not None else LEFT,
            mine and known is not None and known.listed, made_ms, device, now_ms,
        )  # fmt: skip
        if log is not None and isinstance(until_ms, int) and until_ms != log.facts.reserved_until_ms:
            log.facts = structs.replace(log.facts, reserved_by=device, reserved_until_ms=until_ms)
            log.reserved_ms[device] = now_ms
        return until_ms

    def acknowledge_nowait(self, topic: bytes, device: bytes, offset: int) -> None:
        """Note a position of a device."""
        if topic in self._store.logs and device in self._store.devices:
            acks = self._store.logs[topic].acks
            acks[device] = max(acks.get(device, 0), offset)

    async def retain(self, before_ms: int, now_ms: int) -> Freed:
        """See ``retention``."""
        await trio.lowlevel.checkpoint()
        entries: list[Entry] = []
        blobs: list[Blob] = []
        for log in self._store.logs.values():
            old = [entry for entry in log.alive() if self._removable(log, entry, before_ms, now_ms)]
            entries += old
            for entry in old:
                blobs += self._store.bury(log, entry.offset)
            floor = min((entry.offset for entry in log.alive()), default=log.facts.head + 1) - 1
            log.facts = structs.replace(log.facts, floor=floor)
            for entry, following in zip(log.entries, log.entries[1:], strict=False):
                if entry.erased and following.erased and entry.ts < now_ms - FORGET_MS:
                    log.ids.pop((entry.device, entry.id), None)
        heap = self._store.heap
        unlinked = [key for key, blob in heap.items() if not blob.refs and blob.added_ms < now_ms - BLOB_UNLINKED_MS]
        blobs += [heap.pop(key) for key in unlinked]
        for device in self._store.devices.values():
            young = now_ms - KEY_PACKAGE_LIFE_S * 1000
            device.packages = {package: added for package, added in device.packages.items() if added >= young}
        size = sum(len(entry.header) + len(entry.body) for entry in entries)
        return Freed(len(entries), size, len(blobs), sum(len(blob.data) for blob in blobs))

    def _removable(self, log: Log, entry: Entry, before_ms: int, now_ms: int) -> bool:
        if not entry.flags & KEPT:
            return entry.ts < before_ms or 0 < entry.ttl <= now_ms - entry.ts
        passed = [
            max(log.acks.get(key, 0), member.since)
            for member in log.members.values()
            if member.role != LEFT
            for key, device in self._store.listed(member.account)
            if device.seen_ms >= now_ms - DEVICE_UNSEEN_MS_MAX
        ]
        return entry.ts < before_ms and entry.offset <= min(passed, default=log.facts.head)

    def _state(self, topic: bytes, account: bytes) -> TopicState | None:
        log = self._store.logs.get(topic)
        if log is None:
            return None
        member, f = log.members.get(account), log.facts
        if member is None and f.kind in PUBLIC_KINDS:
            member = Member(account, Role.READER, 0, 0)
        if member is None or member.role == LEFT:
            return None
        return TopicState(
            topic, f.kind, f.generation, f.head, f.head_hash, f.group, f.fence, f.floor, member.role, member.since
        )  # fmt: skip

    # -- appending -----------------------------------------------------------------------------------------------------
    def _append(self, intent: Append) -> Outcome:
        store, now_ms = self._store, self._store.clock_ms()
        plan = decide(self._facts(intent, now_ms), intent, now_ms, store.spacing_ms)
        if not isinstance(plan, Plan):
            store.counts["duplicates" if isinstance(plan, Appended) else "refused"] += 1
            return plan
        store.counts["commits"] += 1
        store.counts["appended"] += 1
        log = store.logs.setdefault(intent.topic, Log(plan.topic))
        for topic, entry in ((plan.topic, plan.entry), *plan.inboxes):
            self._extend(store.logs.setdefault(topic.topic, Log(topic)), topic, entry, intent.digest)
        for account in plan.forgotten:
            del log.members[account]
        log.members.update((member.account, member) for member in plan.members)
        for value in plan.blobs:
            store.heap[value].refs.add((intent.topic, plan.entry.offset))
        if plan.erases:
            store.bury(log, plan.erases)
        entries = (plan.entry, *(entry for _, entry in plan.inboxes))
        return Appended(plan.entry.generation, plan.entry.offset, plan.entry.ts, False, entries, plan.change)

    def _extend(self, log: Log, facts: TopicFacts, entry: Entry, digest: bytes) -> None:
        log.facts = facts
        log.entries.append(entry)
        log.ids[entry.device, entry.id] = Stored(entry.generation, entry.offset, entry.ts, digest)

    def _facts(self, intent: Append, now_ms: int) -> Facts:
        store = self._store
        log, device = store.logs.get(intent.topic), store.devices.get(intent.device)
        mine = device is not None and device.account == intent.account
        roster = dict(log.members) if log is not None else {}
        accounts = {
            key: AccountFacts(key, account.expires_ms, len(account.devices)) for key, account in store.people.items()
        }
        inboxes = {}
        tokens = {welcome.account: welcome.token for welcome in intent.welcomes}
        for account in tokens:
            inbox = store.logs.get(store.welcome_inbox(account, intent.topic))
            if inbox is not None:
                used = (intent.device, intent.id) in inbox.ids
                inboxes[account] = store.inbox(inbox, intent.account, tokens[account], used, now_ms)
        target = None
        if log is not None and 0 < intent.erases <= len(log.entries) and not log.entries[intent.erases - 1].erased:
            target = Target(log.entries[intent.erases - 1].account, log.entries[intent.erases - 1].flags)
        return Facts(
            topic=log.facts if log is not None else None,
            author=roster.get(intent.account),
            login=device.login if device is not None else 0,
            listed=mine and device is not None and device.listed,
            expires_ms=store.people[device.account].expires_ms if device is not None else 0,
            stored=log.ids.get((intent.device, intent.id)) if log is not None else None,
            after_stored=intent.after is None or (log is not None and (intent.device, intent.after) in log.ids),
            inbox=(
                store.inbox(log, intent.account, intent.token, False, now_ms)
                if log is not None and log.facts.kind is TopicKind.INBOX
                else None
            ),
            roster=roster,
            roster_devices=sum(len(store.listed(key)) for key, member in roster.items() if member.role != LEFT),
            accounts=accounts,
            inboxes=inboxes,
            target=target,
            blobs_missing=len(set(intent.blobs).difference(store.heap)),
            lease=store.leases.get((intent.account, slot_of(intent.topic)), 0),
            pointed={topic: store.logs[topic].facts for topic in intent.pointers if topic in store.logs},
        )
