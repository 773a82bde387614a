"""What becomes of a PUB: ``decide`` is pure, ``Publisher`` acts on it.

``decide`` judges what one connection can know: registration, flags and what belongs to them, the age of the id. All
that depends on the topic's state (access, fence, quota) is judged by the store, inside the append's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason, RemoteProtocolError
from protocol.frames import FLAGS_PUBLISHABLE, AccessChange, Err, ErrDetail, Flag, Msg, Pub, PubResult, Role
from protocol.ids import id_ms
from protocol.limits import ID_AGE_MS_MAX, ID_AHEAD_MS_MAX
from protocol.position import publish_digest
from protocol.websocket import frame as binary_frame
from relay.bounds import INFLIGHT_BYTES_MAX, RETRY_MS
from relay.context import Relay
from relay.hub import Hub, Subscription
from relay.lease import LEASE_BYTES
from storage.base import Append, Appended, Outcome, Refused, StoreAway, WelcomePost
from storage.flags import ACCESS, COMMIT, EPHEMERAL, ERASE, NEVER_EPHEMERAL, NO_ECHO, RESET, SEALED

_NOT_PUBLISHABLE: Final = ~int(FLAGS_PUBLISHABLE)
_OFFSET_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Facts:
    """What a connection knows of its client."""

    account: bytes
    device: bytes
    login: int
    is_registered: bool
    is_shared: bool = False  # one of several processes of a worker


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message that nobody keeps: for the live subscribers."""

    without_sender: bool


_SPREAD: Final = Ephemeral(without_sender=False)
_SPREAD_WITHOUT: Final = Ephemeral(without_sender=True)


def decide(frame: Pub, facts: Facts, now_ms: int) -> Append | Ephemeral | Refused:
    """Judge a PUB. ``now_ms`` is wall-clock time."""
    flags = frame.flags
    if not facts.is_registered:
        return Refused(Code.UNAUTHENTICATED, "this device is not registered yet; send devices.publish first")
    if flags & _NOT_PUBLISHABLE:
        return _bad(f"flags {flags} has bits that a client may not set")
    if flags & EPHEMERAL:
        return _ephemeral(frame)
    if not flags & SEALED and (frame.token is not None) != facts.is_shared:
        return _bad("a process of a worker sends with the token of the topic's slot, and nobody else with one")
    if facts.is_shared and not flags & SEALED and len(frame.token or b"") != LEASE_BYTES:
        return _bad(f"the token of a slot has {LEASE_BYTES} bytes")
    if flags & NO_ECHO:
        return _bad("NO_ECHO is for ephemeral messages; stored ones are always echoed")
    return _aged(frame, now_ms) or _epoch(frame) or _stored(frame, facts)


def _bad(text: str) -> Refused:
    return Refused(Code.FRAME, text)


def _ephemeral(frame: Pub) -> Ephemeral | Refused:
    if frame.flags & NEVER_EPHEMERAL:
        return _bad("an ephemeral message is never a commit, an access change, an erasure or public")
    if frame.bundle is not None or frame.expect is not None or frame.after is not None or frame.ttl or frame.token:
        return _bad("an ephemeral message is not stored: it has no bundle, expect, after, ttl or token")
    return _SPREAD_WITHOUT if frame.flags & NO_ECHO else _SPREAD


def _aged(frame: Pub, now_ms: int) -> Refused | None:
    made_ms = id_ms(frame.id)
    if made_ms < now_ms - ID_AGE_MS_MAX:
        return Refused(Code.EXPIRED, "the id is older than 60 days; whether it was stored is no longer known")
    if made_ms > now_ms + ID_AHEAD_MS_MAX:
        return _bad("the id lies more than a day ahead; set this device's clock")
    return None


def _epoch(frame: Pub) -> Refused | None:
    if frame.epoch is None and frame.flags & COMMIT:
        return _bad("a commit needs its epoch: (group number, fence)")
    return None


def _stored(frame: Pub, facts: Facts) -> Append | Refused:
    flags, bundle = frame.flags, frame.bundle
    if flags & RESET and not flags & COMMIT:
        return _bad("RESET belongs to a COMMIT")
    if bundle is not None and not flags & COMMIT and (bundle.welcomes or bundle.read_from):
        return _bad("Welcomes and read_from come with a commit only; another entry may name blobs")
    access: AccessChange | None = None
    erases = 0
    if flags & ACCESS and flags & ERASE:
        return _bad("an entry changes access or erases a body, not both")
    if flags & ACCESS:
        try:
            access = decode_struct(frame.header, AccessChange)
        except RemoteProtocolError as error:
            return _bad(f"flagged ACCESS, but the header is no access change: {error.text}"[:400])
    elif flags & ERASE:
        erases = int.from_bytes(frame.header, "big") if len(frame.header) == _OFFSET_BYTES else 0
        if not erases:
            return _bad("flagged ERASE, but the header is no offset in 8 bytes")
    return Append(
        account=facts.account, device=facts.device, login=facts.login, topic=frame.topic, id=frame.id,
        digest=digest_of(frame), after=frame.after, flags=flags, epoch=frame.epoch, expect=frame.expect, ttl=frame.ttl,
        header=frame.header, body=frame.body, access=access, erases=erases,
        create=None if bundle is None else bundle.create,
        read_from=0 if bundle is None else bundle.read_from,
        welcomes=() if bundle is None else tuple(WelcomePost(w.account, w.body, w.token) for w in bundle.welcomes),
        blobs=() if bundle is None else bundle.blobs, token=frame.token if flags & Flag.SEALED else None,
        lease=None if flags & Flag.SEALED or frame.token is None else int.from_bytes(frame.token, "big"),
    )  # fmt: skip


def digest_of(frame: Pub) -> bytes:
    """The digest under which a PUB is deduplicated; a sender computes the same."""
    bundle = b"" if frame.bundle is None else encode_struct(frame.bundle)
    return publish_digest(frame.topic, frame.flags, frame.ttl, frame.epoch, frame.header, frame.body, bundle)


def size_of(frame: Pub) -> int:
    """Bytes of a PUB that wait in memory for its commit."""
    bundle = frame.bundle
    return len(frame.header) + len(frame.body) + (sum(len(w.body) for w in bundle.welcomes) if bundle else 0)


class Client(Protocol):
    """What a publisher needs of its connection."""

    account: bytes
    device: bytes

    def reply(self, rid: int, result: bytes) -> None:
        """Send OK."""
        ...

    def refuse(self, rid: int, refusal: Refused) -> None:
        """Send ERR."""
        ...

    def superseded(self) -> None:
        """A newer login of the device exists."""
        ...

    def founded_nothing(self) -> None:
        """A conversation was not founded after all."""
        ...

    def failed(self) -> None:
        """A bug was met while serving this client."""
        ...

    def subscription_of(self, topic: bytes) -> Subscription | None:
        """The connection's own subscription of a topic."""
        ...


class Publisher:
    """Acts on the PUBs of one connection: they reach the store in the order in which they came."""

    __slots__ = ("_client", "_counters", "_inflight_max", "_relay", "_topics", "inflight", "inflight_bytes")

    def __init__(self, relay: Relay, client: Client) -> None:
        self._relay = relay
        self._client = client
        self._topics = relay.store.topics
        self._counters = relay.counters
        self._inflight_max = relay.settings.inflight_pubs_max
        self.inflight = 0
        self.inflight_bytes = 0

    def act(self, frame: Pub, action: Append | Ephemeral | Refused, now_ms: int) -> None:
        """Do what ``decide`` said."""
        if isinstance(action, Append):
            self._store(frame, action)
        elif isinstance(action, Ephemeral):
            self._spread(frame, action, now_ms)
        else:
            self._client.refuse(frame.rid, action)

    def _store(self, frame: Pub, intent: Append) -> None:
        size = size_of(frame)
        if self.inflight >= self._inflight_max or (self.inflight and self.inflight_bytes + size > INFLIGHT_BYTES_MAX):
            text = f"{self.inflight} messages of this connection wait for their commit; wait for answers"
            self._client.refuse(frame.rid, Refused(Code.RATE, text, retry_ms=RETRY_MS))
            return
        self._counters.publishes += 1
        try:
            self._topics.append_nowait(
                intent,
                partial(self._done, frame.rid, intent.topic, size, intent.create is not None, self._relay.tick_ms()),
            )
        except StoreAway as error:
            text = f"{error}; retry with the same id"[:400]
            self._client.refuse(frame.rid, Refused(Code.STORE_AWAY, text, retry_ms=RETRY_MS))
            return
        self.inflight += 1
        self._relay.pending.began()
        self.inflight_bytes += size

    def _done(self, rid: int, topic: bytes, size: int, founds: bool, since_ms: float, outcome: Outcome) -> None:
        self.inflight -= 1
        self.inflight_bytes -= size
        self._relay.pending.ended()
        # Called by the store: whatever went wrong in here must not end the process.
        with self._relay.boundary("committed", self._client.failed):
            if founds and (isinstance(outcome, Refused) or outcome.duplicate):
                self._client.founded_nothing()
            self._answer(rid, topic, since_ms, outcome)

    def _answer(self, rid: int, topic: bytes, since_ms: float, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            self._client.refuse(rid, outcome)
            if outcome.reason is Reason.SUPERSEDED:
                self._client.superseded()
            return
        now_ms = self._relay.tick_ms()
        self._counters.publish_ms.observe(now_ms - since_ms)
        result = PubResult(outcome.generation, outcome.offset, outcome.ts, outcome.duplicate)
        self._client.reply(rid, encode_struct(result))
        self._spread_entries(topic, outcome)
        self._counters.fanout_ms.observe(self._relay.tick_ms() - now_ms)

    def _spread_entries(self, topic: bytes, outcome: Appended) -> None:
        for entry in outcome.entries:
            self._relay.committed(entry)
        if outcome.duplicate:
            hub = self._relay.hubs.get(topic)
            if hub is not None:
                hub.hear(outcome.offset)

    def _spread(self, frame: Pub, action: Ephemeral, now_ms: int) -> None:
        subscription = self._client.subscription_of(frame.topic)
        if subscription is None or subscription.until is not None:
            text = "no such topic, not yours, or not subscribed here"
            self._client.refuse(frame.rid, Refused(Code.NOT_FOUND, text))
            return
        if subscription.role < Role.MEMBER:
            self._client.refuse(frame.rid, Refused(Code.FORBIDDEN, "readers of this conversation do not publish"))
            return
        self._counters.ephemerals += 1
        hub = subscription.hub
        sender = subscription if action.without_sender else None
        hub.send_ephemeral(binary_frame(encode_struct(_ephemeral_msg(hub, frame, self._client, now_ms))), sender)
        if frame.rid:
            self._client.reply(frame.rid, encode_struct(PubResult(hub.generation, 0, now_ms)))


def _ephemeral_msg(hub: Hub, frame: Pub, client: Client, now_ms: int) -> Msg:
    fence = frame.epoch[1] if frame.epoch else 0
    return Msg(
        hub.tid, 0, frame.id, client.account, client.device, now_ms, frame.flags, fence, 0, frame.header, frame.body
    )


def err(rid: int, refusal: Refused) -> Err:
    """A refusal as it goes over the wire."""
    detail = None
    if refusal.reason or refusal.generation or refusal.offset or refusal.fence or refusal.hash:
        detail = ErrDetail(
            refusal.reason, refusal.generation, refusal.offset, refusal.group, refusal.fence, refusal.hash
        )
    return Err(rid, refusal.code, refusal.text, refusal.retry_ms, detail)
