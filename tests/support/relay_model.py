"""A relay small enough to be seen through, over the dict model of the store: what clients are tested against.

It has no sockets and no clock of its own. Each client hangs on a ``Wire`` with a queue in either direction. By itself
(``auto``) the wire moves every message at once; otherwise a test moves them one by one, cuts it, or lets what the
client had sent arrive long after. ``judge`` and ``tamper`` make the relay refuse or lie.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import trio
from trio_websocket import CloseReason, ConnectionClosed

from protocol import frames as F
from protocol import identity, limits
from protocol import requests as Q
from protocol.codec import decode_frames, decode_struct, encode_struct
from protocol.errors import Close, Code
from protocol.frames import AnyFrame, Flag, GapReason
from relay.parcels import Parcels
from relay.router import Facts, decide
from storage.base import Append, Appended, Entry, Hole, Login, Refused
from storage.memory import MemoryStore

Judge = Callable[["Wire", F.Pub], F.Err | None]
Tamper = Callable[["Wire", AnyFrame], Iterable[AnyFrame]]


@dataclass
class Follow:
    """A subscription of a wire: ``next`` is the offset to be sent next."""

    next: int
    live: bool = False


class Wire:
    """One connection, seen from both ends; to the client it looks like a websocket."""

    subprotocol: str | None = F.SUBPROTOCOL

    def __init__(self, relay: RelayModel, owner: str) -> None:
        self.relay = relay
        self.owner = owner
        self.up: deque[bytes] = deque()  # sent by the client, not yet at the relay
        self.down: deque[bytes] = deque()  # sent by the relay, not yet at the client
        self.account = self.device = bytes(32)
        self.login = 0
        self.registered = False
        self.follows: dict[bytes, Follow] = {}
        self._arrived: deque[bytes | str] = deque()
        self._changed = trio.Event()
        self._closed: CloseReason | None = None

    # -- the client's end ----------------------------------------------------------------------------------------------
    async def send_message(self, data: bytes) -> None:
        """As ``WebSocketConnection.send_message``."""
        await trio.lowlevel.checkpoint()
        if self._closed is not None:
            raise ConnectionClosed(self._closed)
        self.relay.watch(self, data)
        self.up.append(data)
        self.relay.kick.set()

    async def get_message(self) -> bytes | str:
        """As ``WebSocketConnection.get_message``."""
        await trio.lowlevel.checkpoint()
        while not self._arrived:
            if self._closed is not None:
                raise ConnectionClosed(self._closed)
            await self._changed.wait()
        return self._arrived.popleft()

    @property
    def is_cut(self) -> bool:
        """Whether the client has lost this connection."""
        return self._closed is not None

    # -- the network ---------------------------------------------------------------------------------------------------
    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def arrive(self, data: bytes | str) -> None:
        """Hand the client a message."""
        self._arrived.append(data)
        self._change()

    def give(self) -> None:
        """Let one message of the relay arrive."""
        self.arrive(self.down.popleft())

    def send(self, frame: AnyFrame) -> None:
        """The relay sends a frame."""
        for part in self.relay.tamper(self, frame):
            self.relay.sent.append((self.owner, part))
            if self.relay.auto:
                self.arrive(encode_struct(part))
            else:
                self.down.append(encode_struct(part))

    def cut(self, code: int = 1006, text: str = "", *, late: bool = False) -> None:
        """The client loses the connection and what was on its way to it. ``late``: what it sent may arrive yet."""
        self._closed = CloseReason(code, text)
        self.down.clear()
        if not late:
            self.up.clear()
        self.follows.clear()
        self._change()


class RelayModel:
    """See the module."""

    def __init__(self, clock_ms: Callable[[], int], *, auto: bool = True, spacing_ms: int = 0) -> None:
        self.clock_ms = clock_ms
        self.auto = auto
        self.store = MemoryStore(clock_ms=clock_ms, spacing_ms=spacing_ms)
        self._parcels = Parcels(self.store.lockers, clock_ms, clock_ms)
        self.wires: list[Wire] = []
        self.kick = trio.Event()
        self.tids: dict[bytes, int] = {}
        self.sent: list[tuple[str, AnyFrame]] = []  # (to whom, frame): all that was ever sent
        self.heard: list[tuple[str, AnyFrame]] = []
        self.watch: Callable[[Wire, bytes], None] = lambda wire, data: None  # at the moment of sending
        self.judge: Judge = lambda wire, pub: None
        self.tamper: Tamper = lambda wire, frame: (frame,)
        self.answer: dict[str, Callable[[Wire, Any], Any]] = {}  # method -> a lie instead of the truth

    def open(self, owner: str) -> Wire:
        """A new connection: the relay greets."""
        wire = Wire(self, owner)
        self.wires.append(wire)
        wire.send(F.Info((F.VERSION,), b"cluster of a test", bytes(32)))
        return wire

    async def run(self) -> None:
        """Take what clients send, for ever, while ``auto``."""
        while True:
            await self.kick.wait()
            self.kick = trio.Event()
            for wire in list(self.wires):
                while wire.up and self.auto:
                    await self.take(wire)

    def run_freely(self) -> None:
        """From now on every message moves at once, those that wait first."""
        self.auto = True
        for wire in self.wires:
            while wire.down:
                wire.give()
        self.kick.set()

    async def take(self, wire: Wire) -> None:
        """Deal with one message of a client; nobody listens after a goodbye."""
        data = wire.up.popleft()
        for frame in decode_frames(data, from_client=True) if wire.login >= 0 else ():
            self.heard.append((wire.owner, frame))
            if isinstance(frame, F.Connect):
                await self._connect(wire, frame)
            elif isinstance(frame, F.Sub):
                await self._subscribe(wire, frame)
            elif isinstance(frame, F.Pub):
                await self._publish(wire, frame)
            elif isinstance(frame, F.Req):
                await self._request(wire, frame)
            elif isinstance(frame, F.Ping):
                wire.send(F.Pong(frame.t))
            elif isinstance(frame, F.Ack):
                topic = next(topic for topic, tid in self.tids.items() if tid == frame.tid)
                self.store.topics.acknowledge_nowait(topic, wire.device, frame.offset)

    # -- login ---------------------------------------------------------------------------------------------------------
    async def _connect(self, wire: Wire, frame: F.Connect) -> None:
        wire.account, wire.device = frame.account, frame.device
        (known,) = await self.store.accounts.get([frame.account])
        left = 0
        if known is not None and known.expires_ms > self.clock_ms() and wire.device in known.devices:
            left = await self._log_in(wire)
        version = 0 if known is None else known.version
        result = Q.LoginResult(wire.registered, version, left, self.clock_ms())
        wire.send(F.Ok(frame.rid, msgspec.Raw(encode_struct(result))))

    async def _log_in(self, wire: Wire) -> int:
        login = await self.store.accounts.login(wire.account, wire.device)
        assert isinstance(login, Login)
        wire.login, wire.registered = login.number, True
        for other in self.wires:
            if other is not wire and other.device == wire.device:
                other.send(F.Bye(Close.SUPERSEDED, "the same device logged in again elsewhere", -1))
                other.follows.clear()
                other.up.clear()
                other.login = -1
        return login.key_packages

    # -- logs ----------------------------------------------------------------------------------------------------------
    async def _subscribe(self, wire: Wire, frame: F.Sub) -> None:
        results = []
        for want in frame.topics or ():
            state = await self.store.topics.state(want.topic, wire.account)
            offset = want.start[1] if want.start is not None else 0
            if state is None:
                results.append(F.SubResult(0, code=Code.NOT_FOUND))
            elif offset > state.head:
                results.append(F.SubResult(0, state.generation, state.head, code=Code.CONFLICT))
            else:
                tid = self.tids.setdefault(want.topic, len(self.tids) + 1)
                results.append(F.SubResult(tid, state.generation, state.head, state.group, state.fence))
                wire.follows[want.topic] = Follow(offset + 1)
        wire.send(F.Ok(frame.rid, msgspec.Raw(encode_struct(results))))
        for want in frame.topics or ():
            await self._feed(wire, want.topic)

    async def _feed(self, wire: Wire, topic: bytes) -> None:
        """Send what a follower lacks."""
        follow = wire.follows.get(topic)
        if follow is None:
            return
        state = await self.store.topics.state(topic, wire.account)
        page = await self.store.topics.read(topic, 0, 10**9, 10**12)
        if follow is not wire.follows.get(topic):
            return
        tid, since = self.tids[topic], 0 if state is None else state.since
        for item in page.items:
            last = item.last if isinstance(item, Hole) else item.offset
            if last < follow.next:
                continue
            if last < since:
                continue
            if isinstance(item, Hole) or last == since:
                reason = item.reason if isinstance(item, Hole) else GapReason.POLICY
                wire.send(F.Gap(tid, page.generation, follow.next, last, reason, item.hash))
            else:
                wire.send(_msg(tid, item))
            follow.next = last + 1
            if isinstance(item, Entry) and _puts_out(item, wire.account) and state is None:
                del wire.follows[topic]
                wire.send(F.Closed(tid, Code.NOT_FOUND, "you were removed"))
                return
        if not follow.live:
            follow.live = True
            wire.send(F.Live(tid, page.head))

    async def _publish(self, wire: Wire, frame: F.Pub) -> None:
        refusal = self.judge(wire, frame)
        if refusal is not None:
            wire.send(msgspec.structs.replace(refusal, rid=frame.rid))
            return
        facts = Facts(wire.account, wire.device, wire.login, wire.registered)
        action = decide(frame, facts, self.clock_ms())
        if isinstance(action, Append):
            await self._append(wire, frame.rid, action)
        elif isinstance(action, Refused):
            wire.send(_err(frame.rid, action))
        else:
            self._spread(wire, frame)

    async def _append(self, wire: Wire, rid: int, intent: Append) -> None:
        outcome = await self.store.topics.append(intent)
        if isinstance(outcome, Refused):
            wire.send(_err(rid, outcome))
            return
        result = F.PubResult(outcome.generation, outcome.offset, outcome.ts, outcome.duplicate)
        wire.send(F.Ok(rid, msgspec.Raw(encode_struct(result))))
        await self._committed(outcome)

    async def _committed(self, outcome: Appended) -> None:
        for entry in outcome.entries:
            for wire in list(self.wires):
                if entry.topic in wire.follows:
                    await self._feed(wire, entry.topic)

    def _spread(self, wire: Wire, frame: F.Pub) -> None:
        for other in self.wires:
            follow = other.follows.get(frame.topic)
            if follow is not None and follow.live and not (other is wire and frame.flags & Flag.NO_ECHO):
                fence = frame.epoch[1] if frame.epoch else 0
                other.send(F.Msg(
                    self.tids[frame.topic], 0, frame.id, wire.account, wire.device, self.clock_ms(), frame.flags,
                    fence, 0, frame.header, frame.body,
                ))  # fmt: skip

    # -- directory -----------------------------------------------------------------------------------------------------
    async def _request(self, wire: Wire, frame: F.Req) -> None:
        params = decode_struct(frame.params, Q.METHODS[frame.method])
        if frame.method in self.answer:
            result = self.answer[frame.method](wire, params)
        else:
            result = await _METHODS[frame.method](self, wire, params)
        if isinstance(result, Refused):
            wire.send(_err(frame.rid, result))
        else:
            wire.send(F.Ok(frame.rid, msgspec.Raw(encode_struct(result))))

    async def _publish_list(self, wire: Wire, params: Q.PublishList) -> Any:
        devices = identity.open_signed(params.signed)
        if identity.is_expired(devices, self.clock_ms()):
            return Refused(Code.EXPIRED, "the device list has expired already")
        outcome = await self.store.accounts.publish_list(
            devices.account, devices.version, params.signed, devices.expires_ms, [d.key for d in devices.devices],
            devices.service, wire.device,
        )  # fmt: skip
        if isinstance(outcome, Refused):
            return outcome
        if not wire.registered:
            await self._log_in(wire)
        await self._committed(outcome)
        return devices.version

    async def _get_lists(self, wire: Wire, params: Q.GetLists) -> Any:
        found = await self.store.accounts.get(params.accounts)
        return [None if account is None else account.signed for account in found]

    async def _claim_handle(self, wire: Wire, params: Q.ClaimHandle) -> Any:
        return await self.store.accounts.claim_handle(wire.account, params.handle)

    async def _get_handle(self, wire: Wire, params: Q.GetHandle) -> Any:
        found = await self.store.accounts.resolve_handle(params.handle)
        return Refused(Code.NOT_FOUND, "nobody has this handle") if found is None else found

    async def _put_packages(self, wire: Wire, params: Q.PutKeyPackages) -> Any:
        return await self.store.key_packages.put(wire.account, wire.device, params.packages, params.last_resort)

    async def _claim_packages(self, wire: Wire, params: Q.ClaimKeyPackages) -> Any:
        known = await self.store.contacts.known(wire.account, params.tokens)
        strangers = set(params.accounts) - known
        claimed = await self.store.key_packages.claim(params.accounts, devices=params.devices, strangers=strangers)
        return [Q.ClaimedPackage(c.account, c.device, c.package, c.last_resort) for c in claimed]

    async def _set_tokens(self, wire: Wire, params: Q.SetTokens) -> Any:
        return await self.store.contacts.set_tokens(wire.account, params.hashes)

    async def _list_topics(self, wire: Wire, params: Q.ListTopics) -> Any:
        rows = await self.store.topics.of_account(wire.account, params.after, limits.LIST_TOPICS_MAX)
        return [Q.OwnTopic(*row) for row in rows]

    async def _heads(self, wire: Wire, params: Q.GetHeads) -> Any:
        states = await self.store.topics.states(params.topics, wire.account)
        return [F.SubResult(0, s.generation, s.head) if s else F.SubResult(0, code=Code.NOT_FOUND) for s in states]

    async def _members(self, wire: Wire, params: Q.GetMembers) -> Any:
        return [(account, role) for account, role, _ in await self.store.topics.members(params.topic)]

    async def _put_link(self, wire: Wire, params: Q.PutLink) -> Any:
        return await self._parcels.put_link(wire.account, params.slot, params.sealed)

    async def _get_link(self, wire: Wire, params: Q.GetLink) -> Any:
        return await self._parcels.get_link(wire.owner, params.slot)

    async def _put_recovery(self, wire: Wire, params: Q.PutRecovery) -> Any:
        return await self._parcels.put_recovery(wire.account, params.sealed)

    async def _get_recovery(self, wire: Wire, params: Q.GetRecovery) -> Any:
        return await self._parcels.get_recovery(wire.owner, params.account)

    async def _put_blob(self, wire: Wire, params: Q.PutBlob) -> Any:
        return await self.store.blobs.put(params.hash, params.data)

    async def _set_presence(self, wire: Wire, params: Q.SetPresence) -> Any:
        return None  # whoever is connected is online here

    async def _watch_presence(self, wire: Wire, params: Q.WatchPresence) -> Any:
        here = {other.account for other in self.wires if not other.is_cut}
        return [Q.PresenceOf(account, int(account in here), 0) for account in params.accounts]

    async def _get_blob(self, wire: Wire, params: Q.GetBlob) -> Any:
        found = await self.store.blobs.get(params.hash)
        return Refused(Code.NOT_FOUND, "no such blob") if found is None else found


_METHODS: dict[str, Callable[[RelayModel, Wire, Any], Awaitable[Any]]] = {
    "devices.publish": RelayModel._publish_list, "devices.get": RelayModel._get_lists,
    "handles.claim": RelayModel._claim_handle, "handles.get": RelayModel._get_handle,
    "keypackages.put": RelayModel._put_packages, "keypackages.claim": RelayModel._claim_packages,
    "blobs.put": RelayModel._put_blob, "blobs.get": RelayModel._get_blob,
    "contacts.tokens": RelayModel._set_tokens, "topics.list": RelayModel._list_topics,
    "topics.heads": RelayModel._heads, "topics.members": RelayModel._members,
    "link.put": RelayModel._put_link, "link.get": RelayModel._get_link,
    "recovery.put": RelayModel._put_recovery, "recovery.get": RelayModel._get_recovery,
    "presence.set": RelayModel._set_presence, "presence.watch": RelayModel._watch_presence,
}  # fmt: skip


def _msg(tid: int, e: Entry) -> F.Msg:
    return F.Msg(tid, e.offset, e.id, e.account, e.device, e.ts, e.flags, e.fence, e.ttl, e.header, e.body)


def _puts_out(entry: Entry, account: bytes) -> bool:
    return bool(entry.flags & Flag.ACCESS) and account in decode_struct(entry.header, F.AccessChange).removed


def _err(rid: int, r: Refused) -> F.Err:
    detail = F.ErrDetail(r.reason, r.generation, r.offset, r.group, r.fence, r.hash)
    return F.Err(rid, r.code, r.text, r.retry_ms, detail)
