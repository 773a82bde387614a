"""Which process of a worker holds which slots.

Rule 1.  Fair and sticky: with n processes each holds 256/n slots, rounded up or down, and nobody loses one that need
         not move. In a *single* group the oldest process holds all, and the others wait to take over.
Rule 2.  A slot moves in three steps: it is revoked, its holder writes what it has and releases it (``RELEASE_MS`` at
         most), and it is granted under the next token. A holder whose connection ends has released all it had.
Rule 3.  A token is durable before anybody hears of it, and every append of a process is compared with it in the
         append's transaction. So it does no harm if two processes believe that they hold a slot.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio

from protocol.codec import decode_struct
from protocol.errors import Code, RemoteProtocolError
from protocol.frames import GROUP_SHARED, GROUP_SINGLE, AccessChange, Flag
from protocol.ids import slot_of
from protocol.limits import RELEASE_MS, SLOTS, WORKER_ACCOUNTS_MAX, WORKER_PROCESSES_MAX, WORKER_TOPICS_MAX
from relay import log
from relay.bounds import RETRY_MS, SERVED_SLICE
from relay.lease import Lease, Spawn
from storage.base import Entry, Refused, StoreAway
from storage.leases import Lag
from storage.leases import Slots as SlotStore

M = TypeVar("M", bound=Hashable)
_GROUPS: Final = (GROUP_SHARED, GROUP_SINGLE)


def assign(members: Sequence[M], held: Mapping[int, M], *, single: bool = False) -> dict[int, M]:
    """Who should hold each slot (rule 1). ``held``: who does now; ``members``: oldest first. Pure."""
    if not members:
        return {}
    if single:
        return dict.fromkeys(range(SLOTS), members[0])
    base, extra = divmod(SLOTS, len(members))
    kept: defaultdict[M, list[int]] = defaultdict(list)
    for slot in range(SLOTS):
        if slot in held:
            kept[held[slot]].append(slot)
    # Whoever has most may keep one more: then the fewest slots move.
    order = sorted(members, key=lambda member: -len(kept[member]))
    quota = {member: base + (place < extra) for place, member in enumerate(order)}
    result = {slot: member for member in members for slot in kept[member][: quota[member]]}
    free = iter(slot for slot in range(SLOTS) if slot not in result)
    for member in members:
        for _ in range(quota[member] - min(len(kept[member]), quota[member])):
            result[next(free)] = member
    return result


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """One worker. ``lag``: as of the last look, every few seconds."""

    account: bytes
    processes: int
    slots: int  # that a process holds
    topics: int
    waiting: int  # topics that wait to be begun
    lag: Lag


@dataclass(slots=True, eq=False)
class Group:
    """The processes of one worker."""

    account: bytes
    device: bytes
    policy: str
    members: list[Lease] = field(default_factory=list)
    holders: dict[int, Lease] = field(default_factory=dict)
    leaving: dict[int, int] = field(default_factory=dict)  # slot → when it is taken, monotonic ms
    cursors: dict[bytes, int] = field(default_factory=dict)  # of all topics of the worker
    changed: trio.Event = field(default_factory=trio.Event)
    lag: Lag = field(default_factory=lambda: Lag(0, 0))

    def drop(self, slots: Iterable[int]) -> None:
        """Slots have no holder any more."""
        for slot in slots:
            self.holders.pop(slot, None)
            self.leaving.pop(slot, None)
        self.changed.set()


class Slots:
    """All workers that are connected to this relay."""

    def __init__(self, store: SlotStore, tick_ms: Callable[[], int], spawn: Spawn) -> None:
        self._store = store
        self._tick_ms = tick_ms
        self._spawn = spawn
        self._groups: dict[bytes, Group] = {}

    def join(self, lease: Lease, policy: str) -> Refused | None:
        """A process wants slots; it hears of them by EVT."""
        if policy not in _GROUPS:
            return Refused(Code.FRAME, f"a worker group is one of: {', '.join(_GROUPS)}")
        group = self._groups.get(lease.account)
        if group is None:
            if len(self._groups) >= WORKER_ACCOUNTS_MAX:
                return Refused(Code.QUOTA, f"{len(self._groups)} workers are connected to this relay already")
            group = self._groups[lease.account] = Group(lease.account, lease.device, policy)
            self._spawn("slots", lambda: self._run(group))
        if (group.device, group.policy) != (lease.device, policy):
            text = f"other processes of this worker run on another device, or as a {group.policy!r} group; end them"
            return Refused(Code.CONFLICT, text)
        if len(group.members) >= WORKER_PROCESSES_MAX:
            return Refused(Code.RATE, f"{len(group.members)} processes of this worker run already", retry_ms=RELEASE_MS)
        lease.cursors = group.cursors
        group.members.append(lease)
        group.changed.set()
        return None

    def leave(self, lease: Lease) -> None:
        """A process is gone."""
        group = self._groups.get(lease.account)
        if group is not None and lease in group.members:
            group.members.remove(lease)
            group.drop([slot for slot, holder in group.holders.items() if holder is lease])
            if not group.members:
                del self._groups[lease.account]

    def release(self, lease: Lease, slots: Iterable[int]) -> None:
        """A process has written everything of slots that were revoked."""
        group = self._groups.get(lease.account)
        if group is not None:
            group.drop([slot for slot in slots if slot in group.leaving and group.holders.get(slot) is lease])

    def committed(self, entry: Entry) -> None:
        """An entry is durable: whoever holds its topic's slot for a worker that is in it has news."""
        if not self._groups:
            return
        for group in self._groups.values():
            if entry.topic in group.cursors:
                self._offer(group, entry.topic)
        if entry.flags & Flag.ACCESS:
            self._access(entry)

    def _offer(self, group: Group, topic: bytes) -> None:
        holder = group.holders.get(slot_of(topic))
        if holder is not None and holder.holds(topic):
            holder.offer(topic)

    def _access(self, entry: Entry) -> None:
        try:
            change = decode_struct(entry.header, AccessChange)
        except RemoteProtocolError:
            return  # erased since
        for account, _ in change.added:
            group = self._groups.get(account)
            if group is not None and entry.topic not in group.cursors and len(group.cursors) < WORKER_TOPICS_MAX:
                group.cursors[entry.topic] = 0
                self._offer(group, entry.topic)

    # -- who holds what ------------------------------------------------------------------------------------------------
    async def _run(self, group: Group) -> None:
        while group.members:
            group.changed = trio.Event()
            try:
                await self._balance(group)
            except StoreAway as error:
                log.warning("slots-wait", account=group.account, why=str(error))
                await trio.sleep(RETRY_MS / 1000)
                continue
            wait_ms = min(group.leaving.values(), default=None)
            timeout_s = float("inf") if wait_ms is None else max(wait_ms - self._tick_ms(), 0) / 1000
            with trio.move_on_after(timeout_s):
                await group.changed.wait()

    async def _balance(self, group: Group) -> None:
        now_ms = self._tick_ms()
        late = [slot for slot, at_ms in group.leaving.items() if at_ms <= now_ms]
        if late:
            log.warning("slots-taken", account=group.account, slots=len(late), why="not released in time")
            group.drop(late)
        target = assign(group.members, group.holders, single=group.policy == GROUP_SINGLE)
        granted: defaultdict[Lease, list[int]] = defaultdict(list)
        revoked: defaultdict[Lease, list[int]] = defaultdict(list)
        for slot, member in target.items():
            holder = group.holders.get(slot)
            if holder is None:
                granted[member].append(slot)
            elif holder is not member and slot not in group.leaving:
                revoked[holder].append(slot)
                group.leaving[slot] = now_ms + RELEASE_MS
        for holder, slots in revoked.items():
            holder.revoked(slots)
        for member, slots in granted.items():
            await self._grant(group, member, slots)

    async def _grant(self, group: Group, member: Lease, slots: list[int]) -> None:
        tokens = await self._store.grant(group.account, slots)
        served = await self._store.served(group.account, group.device)
        if member.is_over or member not in group.members:
            group.changed.set()
            return
        group.holders.update(dict.fromkeys(tokens, member))
        member.granted(tokens)
        log.info("slots-granted", account=group.account, slots=len(tokens), topics=len(served))
        for count, topic in enumerate(served[:WORKER_TOPICS_MAX]):
            if count % SERVED_SLICE == SERVED_SLICE - 1:
                await trio.lowlevel.checkpoint()  # others are served in between
            cursor = group.cursors[topic.topic] = max(group.cursors.get(topic.topic, 0), topic.cursor)
            if topic.head > cursor:
                self._offer(group, topic.topic)

    # -- figures -------------------------------------------------------------------------------------------------------
    async def look(self) -> None:
        """Take the lag of every worker. Raises ``StoreAway``."""
        for group in list(self._groups.values()):
            group.lag = await self._store.lag(group.account, group.device)

    def statistics(self) -> tuple[GroupStatistics, ...]:
        """Figures of now, the workers that have been here for longest first."""
        return tuple(
            GroupStatistics(
                group.account, len(group.members), len(group.holders), len(group.cursors),
                sum(member.behind for member in group.members), group.lag,
            )
            for group in self._groups.values()
        )  # fmt: skip
