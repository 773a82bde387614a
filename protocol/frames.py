"""The 17 frames: everything that the relay reads. One message is one MessagePack array (see ``codec``).

Rules of this file: a frame is ``[type, ...positional fields]``; fields are only ever added at the end, with a default;
a missing trailing field is its default; an unknown type below 64 is an error, from 64 up it is ignored. ``rid`` matches
a reply to its request; 0 asks for none.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from protocol import limits as L

UInt: TypeAlias = Annotated[int, Meta(ge=0, le=L.INT_MAX)]
Int: TypeAlias = Annotated[int, Meta(ge=-L.INT_MAX, le=L.INT_MAX)]
Key: TypeAlias = Annotated[bytes, Meta(min_length=L.KEY_BYTES, max_length=L.KEY_BYTES)]
MessageId: TypeAlias = Annotated[bytes, Meta(min_length=L.ID_BYTES, max_length=L.ID_BYTES)]
Signature: TypeAlias = Annotated[bytes, Meta(min_length=L.SIGNATURE_BYTES, max_length=L.SIGNATURE_BYTES)]
Nonce: TypeAlias = Annotated[bytes, Meta(min_length=L.NONCE_BYTES, max_length=L.NONCE_BYTES)]
Header: TypeAlias = Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
Body: TypeAlias = Annotated[bytes, Meta(max_length=L.BODY_BYTES_MAX)]
Text: TypeAlias = Annotated[str, Meta(max_length=L.TEXT_BYTES_MAX)]
Name: TypeAlias = Annotated[str, Meta(max_length=L.NAME_BYTES_MAX)]
Names: TypeAlias = Annotated[tuple[Name, ...], Meta(max_length=L.FEATURES_MAX)]
Epoch: TypeAlias = tuple[UInt, UInt]  # (group number, fence)
Position: TypeAlias = tuple[UInt, UInt]  # (generation, offset)
Digest: TypeAlias = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]  # 32 bytes, or none
Token: TypeAlias = Annotated[bytes, Meta(max_length=L.TOKEN_BYTES_MAX)]

VERSION: Final = 1
SUBPROTOCOL: Final = "chappe.v1"
SLOTS_FEATURE: Final = "slots"  # in CONNECT: one of several processes of a worker, which share one login
GROUP_SHARED: Final = "shared"  # worker group of a SUB: the slots are spread over all processes
GROUP_SINGLE: Final = "single"  # one process has all of them, the others wait to take over


class Flag(IntFlag):
    """Bits of ``flags`` in PUB and MSG. The kind of an entry is a function of them alone."""

    EPHEMERAL = 1  # never stored, never fenced, never acted on
    URGENT = 2  # wake a sleeping device (a hint)
    COMMIT = 4  # the body is an MLS commit; moves the fence
    PUBLIC = 8  # a signed, clear entry of a feed
    NO_ECHO = 16  # ephemeral only: do not send it back to its sender
    ACCESS = 32  # the header is an AccessChange that the relay applies
    ERASE = 64  # the header is the offset (8 bytes, big endian) whose body is to be erased
    RESET = 128  # with COMMIT: a fresh group for the same topic; moves the group number
    DEVICES = 256  # by the relay, in inboxes: the body is a signed device list
    WELCOME = 512  # by the relay, in inboxes: the body is a Welcome, the header a WelcomeHeader
    SEALED = 1024  # in inboxes: the body is an HPKE box to a device
    STRANGER = 2048  # by the relay, in inboxes: the sender showed no token of a contact


FLAGS_PUBLISHABLE: Final = 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 1024  # what a client may set
FLAGS_ALL: Final = sum(Flag)


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all frames."""


# -- connection -------------------------------------------------------------------------------------------------------
class Info(Frame, frozen=True, tag=1):
    """First frame of the relay, and again when something changes (draining)."""

    versions: Annotated[tuple[UInt, ...], Meta(max_length=L.INFO_ITEMS_MAX)]
    cluster: Annotated[bytes, Meta(min_length=16, max_length=32)]
    nonce: Nonce
    features: Names = ()
    limits: Annotated[tuple[tuple[Name, UInt], ...], Meta(max_length=L.INFO_ITEMS_MAX)] = ()
    now_ms: UInt = 0
    flags: UInt = 0  # 1 = draining
    alternatives: Annotated[tuple[Text, ...], Meta(max_length=L.INFO_ITEMS_MAX)] = ()


class Connect(Frame, frozen=True, tag=2):
    """Login. ``signature`` is the device key's over ``identity.challenge``."""

    rid: UInt
    version: UInt
    device: Key
    nonce: Nonce
    signature: Signature
    account: Key
    list_version: UInt
    features: Names = ()
    agent: Annotated[str, Meta(max_length=L.AGENT_BYTES_MAX)] = ""
    number: UInt = 0  # above that of every earlier CONNECT of this device (its clock in ms will do); 0: not numbered


class Ok(Frame, frozen=True, tag=3):
    """Success of the request ``rid``; ``result`` is typed by the request (see ``requests``)."""

    rid: UInt
    result: msgspec.Raw = msgspec.Raw(b"\xc0")


class ErrDetail(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """State that a refused client needs to go on. ``reason`` is an ``errors.Reason``."""

    reason: UInt = 0
    generation: UInt = 0
    offset: UInt = 0  # head of the topic, the stored offset of an id in conflict, or (428) the bits of a puzzle
    group: UInt = 0
    fence: UInt = 0
    hash: Digest = b""  # digest stored under an id in conflict, or (428) the nonce of a puzzle


class Err(Frame, frozen=True, tag=4):
    """Refusal of the request ``rid``. ``retry_ms`` present means temporary."""

    rid: UInt
    code: UInt
    text: Text = ""
    retry_ms: UInt | None = None
    detail: ErrDetail | None = None


class Ping(Frame, frozen=True, tag=5):
    """Application-level sign of life: browsers cannot see websocket pings."""

    t: UInt = 0


class Pong(Frame, frozen=True, tag=6):
    """Answer to PING with the same ``t``."""

    t: UInt = 0


# -- topics -----------------------------------------------------------------------------------------------------------
class Subscription(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One topic of a SUB: after ``start``, else the ``last`` n entries (0: from the oldest), else live only.

    Two fields, since msgspec 0.19–0.22 crashes the collector on a union of a fixed tuple and a bounded integer.
    """

    topic: Key
    start: Position | None = None
    last: UInt | None = None


class Sub(Frame, frozen=True, tag=7):
    """Subscribe to up to 256 topics, or (topics None) to the slots of a worker; the group says how they are shared."""

    rid: UInt
    topics: Annotated[tuple[Subscription, ...], Meta(max_length=L.SUBSCRIBE_TOPICS_MAX)] | None
    worker_group: Name | None = None


class SubResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Per topic in OK of a SUB, in order. ``tid`` 0: refused with ``code``."""

    tid: UInt
    generation: UInt = 0
    head: UInt = 0
    group: UInt = 0
    fence: UInt = 0
    code: UInt = 0


class Unsub(Frame, frozen=True, tag=8):
    """End subscriptions. Frames of these tids that were on the way may still arrive."""

    rid: UInt
    tids: Annotated[tuple[UInt, ...], Meta(max_length=L.SUBSCRIPTIONS_MAX)]


class Msg(Frame, frozen=True, tag=9):
    """One entry. Byte-identical for every live subscriber. ``offset`` 0 for ephemerals."""

    tid: UInt
    offset: UInt
    id: MessageId
    account: Key
    device: Key
    ts: UInt
    flags: UInt
    fence: UInt
    ttl: UInt
    header: Header
    body: Body


class Live(Frame, frozen=True, tag=10):
    """History is over: you are at the head, and this is its offset."""

    tid: UInt
    offset: UInt


class Gap(Frame, frozen=True, tag=11):
    """Offsets ``first``–``last`` will not come. ``hash`` is the chain hash at ``last``; reason: ``GapReason``."""

    tid: UInt
    generation: UInt
    first: UInt
    last: UInt
    reason: UInt
    hash: Digest = b""


class Closed(Frame, frozen=True, tag=12):
    """This subscription has ended. ``retry_ms`` present: subscribe again after it."""

    tid: UInt
    code: UInt
    text: Text = ""
    retry_ms: UInt | None = None


class Create(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a first commit founds. The relay recomputes the topic id: ``nonce`` for GROUP, ``peer`` for PAIR."""

    kind: UInt
    nonce: Digest = b""
    peer: Digest = b""


class Welcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A Welcome that a commit's transaction appends to the inbox of ``account``."""

    account: Key
    body: Annotated[bytes, Meta(max_length=L.WELCOME_BYTES_MAX)]
    token: Token | None = None  # of a contact of ``account``


class Bundle(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an entry brings along, in its transaction or not at all. Only a commit brings more than ``blobs``."""

    create: Create | None = None
    read_from: UInt = 0  # offset after which the added may read: the anchor that the Welcome states
    welcomes: Annotated[tuple[Welcome, ...], Meta(max_length=L.BUNDLE_WELCOMES_MAX)] = ()
    blobs: Annotated[tuple[Key, ...], Meta(max_length=L.BUNDLE_BLOBS_MAX)] = ()


class Pub(Frame, frozen=True, tag=13):
    """Publish one entry. Answered by OK with a PubResult, or by ERR."""

    rid: UInt
    topic: Key
    id: MessageId
    after: MessageId | None = None
    flags: UInt = 0
    epoch: Epoch | None = None
    expect: UInt | None = None  # compare-and-set: the head that the sender has seen
    ttl: Annotated[int, Meta(ge=0, le=L.EXPIRY_MS_MAX)] = 0
    header: Header = b""
    body: Body = b""
    bundle: Bundle | None = None
    token: Token | None = None  # of a lease (workers); in an inbox: of a contact of its owner


class PubResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """In OK of a PUB. ``duplicate``: it was stored before, at this offset."""

    generation: UInt
    offset: UInt
    ts: UInt = 0
    duplicate: bool = False


class Ack(Frame, frozen=True, tag=14):
    """All entries of the subscription up to ``offset`` are durable at the reader. Never answered."""

    tid: UInt
    offset: UInt
    token: Token | None = None


class Req(Frame, frozen=True, tag=15):
    """A request by name; ``params`` are typed by ``requests``."""

    rid: UInt
    method: Name
    params: msgspec.Raw = msgspec.Raw(b"\xc0")


class Evt(Frame, frozen=True, tag=16):
    """News that no request asked for; ``payload`` is typed by ``requests``."""

    name: Name
    payload: msgspec.Raw = msgspec.Raw(b"\xc0")


class Bye(Frame, frozen=True, tag=17):
    """Last frame of either side. ``reconnect_ms`` -1: do not."""

    code: UInt
    text: Text = ""
    reconnect_ms: Int = 0
    alternative: Text = ""


class GapReason(IntEnum):
    """Why a GAP."""

    RETENTION = 1
    RESET = 2  # the log was restored from a backup: another generation
    POLICY = 3  # before the reader was let in


AnyFrame: TypeAlias = (
    Info | Connect | Ok | Err | Ping | Pong | Sub | Unsub | Msg | Live | Gap | Closed | Pub | Ack | Req | Evt | Bye
)
REGISTRY: Final[dict[int, type[Frame]]] = {
    1: Info, 2: Connect, 3: Ok, 4: Err, 5: Ping, 6: Pong, 7: Sub, 8: Unsub, 9: Msg, 10: Live, 11: Gap, 12: Closed,
    13: Pub, 14: Ack, 15: Req, 16: Evt, 17: Bye,
}  # fmt: skip
CLIENT_FRAMES: Final = frozenset({2, 5, 6, 7, 8, 13, 14, 15, 17})  # what a relay may receive
RELAY_FRAMES: Final = frozenset({1, 3, 4, 5, 6, 9, 10, 11, 12, 16, 17})  # what a client may receive


class AccessChange(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Clear header of an entry flagged ACCESS: the one source of a topic's access list.

    ``devices``: devices of accounts that stay (linked, revoked): for members' eyes, since a device is in if it is on
    its account's current list. Encoded by ``codec.encode_struct``.
    """

    added: Annotated[tuple[tuple[Key, UInt], ...], Meta(max_length=L.ACCESS_CHANGES_MAX)] = ()  # (account, role)
    removed: Annotated[tuple[Key, ...], Meta(max_length=L.ACCESS_CHANGES_MAX)] = ()
    devices_added: Annotated[tuple[tuple[Key, Key], ...], Meta(max_length=L.ACCESS_CHANGES_MAX)] = ()
    devices_removed: Annotated[tuple[tuple[Key, Key], ...], Meta(max_length=L.ACCESS_CHANGES_MAX)] = ()


class WelcomeHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Clear header that the relay gives a Welcome in an inbox: where the log to read is."""

    topic: Key
    generation: UInt
    read_from: UInt
    group: UInt
    fence: UInt  # after the commit


class Role:
    """Roles of an access list; a higher one includes the lower."""

    READER: Final = 1
    MEMBER: Final = 2
    ADMIN: Final = 3
    OWNER: Final = 4
