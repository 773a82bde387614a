"""Typed parameters and results of REQ methods, and payloads of EVT. All positional, so no key can occur twice."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, MessageId, Token, UInt

Handle: TypeAlias = Annotated[
    str, Meta(min_length=L.HANDLE_CHARS_MIN, max_length=L.HANDLE_CHARS_MAX, pattern=r"^[a-z0-9][a-z0-9_.-]*\Z")
]
Accounts: TypeAlias = Annotated[tuple[Key, ...], Meta(max_length=L.CLAIM_ACCOUNTS_MAX)]
SignedList: TypeAlias = Annotated[bytes, Meta(max_length=L.DEVICE_LIST_BYTES_MAX)]
KeyPackage: TypeAlias = Annotated[bytes, Meta(max_length=L.KEY_PACKAGE_BYTES_MAX)]


class Params(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of parameters and results."""


class PublishList(Params, frozen=True):
    """``devices.publish``: register an account (version 1) or move its device list on. Result: version (int).

    A relay may register by invitation only (403 without ``invite``, the token) or for a proof of work (428: detail says
    what to solve; ``proof`` is the solution, see ``puzzle``).
    """

    signed: SignedList
    invite: Token | None = None
    proof: UInt | None = None


class GetLists(Params, frozen=True):
    """``devices.get``: current signed device lists. Result: a list of bytes or nil, in order."""

    accounts: Accounts


class ClaimHandle(Params, frozen=True):
    """``handles.claim``: take a handle for the own account (one each; a new one frees the old). Result: nil."""

    handle: Handle


class GetHandle(Params, frozen=True):
    """``handles.get``: the account of a handle. Result: bytes. 404 if nobody has it."""

    handle: Handle


class PutKeyPackages(Params, frozen=True):
    """``keypackages.put``: one-time packages of this device, and its last-resort one. Result: count stored (int)."""

    packages: Annotated[tuple[KeyPackage, ...], Meta(max_length=L.KEY_PACKAGES_MAX)]
    last_resort: KeyPackage | None = None


class ClaimKeyPackages(Params, frozen=True):
    """``keypackages.claim``: one package per device of each account. Result: list of ClaimedPackage."""

    accounts: Accounts
    tokens: Annotated[tuple[tuple[Key, Token], ...], Meta(max_length=L.CLAIM_ACCOUNTS_MAX)] = ()  # (account, its token)
    devices: Annotated[tuple[Key, ...], Meta(max_length=L.DEVICES_MAX)] = ()  # only of these; none named: of all


class ClaimedPackage(Params, frozen=True):
    """One claimed key package."""

    account: Key
    device: Key
    package: KeyPackage
    last_resort: bool


class PutBlob(Params, frozen=True):
    """``blobs.put``: store sealed bytes under their SHA-256. Result: nil."""

    hash: Key
    data: Annotated[bytes, Meta(max_length=L.BLOB_BYTES_MAX)]


class GetBlob(Params, frozen=True):
    """``blobs.get``: sealed bytes by hash. Result: bytes. 404 if unknown."""

    hash: Key


class Ticket(Params, frozen=True):
    """``blobs.ticket``: a ticket for ``/blob/<hash>`` over HTTP (7.5). Result: (ticket, expires_ms)."""


class RenewBlobs(Params, frozen=True):
    """``blobs.renew``: start the hour of uploads that nothing names anew. Result: which of them are stored (bools)."""

    hashes: Annotated[tuple[Key, ...], Meta(max_length=L.BLOB_RENEW_MAX)]


class GetHeads(Params, frozen=True):
    """``topics.heads``: heads of topics. Result: list of frames.SubResult (tid 0; code 404 where not yours)."""

    topics: Annotated[tuple[Key, ...], Meta(max_length=L.HEADS_TOPICS_MAX)]


class GetMembers(Params, frozen=True):
    """``topics.members``: the relay's access list. Result: list of (account, role)."""

    topic: Key


class Reserve(Params, frozen=True):
    """``topics.reserve``: keep the next commit for this device for 30 s. Result: until_ms (int)."""

    topic: Key


class ListTopics(Params, frozen=True):
    """``topics.list``: conversations of the own account behind a topic id, by id. Result: list of OwnTopic."""

    after: Key = bytes(L.KEY_BYTES)


class OwnTopic(Params, frozen=True):
    """A conversation that the relay has the account on the list of."""

    topic: Key
    kind: UInt
    role: UInt


class ReadFeed(Params, frozen=True):
    """``feeds.read``: entries of a public topic behind an offset, oldest first. Result: FeedPage. 404 if not public."""

    topic: Key
    after: UInt = 0
    limit: Annotated[int, Meta(ge=1, le=L.FEED_READ_MAX)] = L.FEED_READ_MAX


class GetEntries(Params, frozen=True):
    """``feeds.get``: single entries of public topics. Result: a list of FeedEntry or nil, in order.

    The list may be shorter, where its entries are large: ask again for the rest.
    """

    places: Annotated[tuple[tuple[Key, UInt], ...], Meta(max_length=L.FEED_GET_MAX)]  # (topic, offset)


class FeedEntry(Params, frozen=True):
    """A public entry, as the relay keeps it."""

    generation: UInt
    offset: UInt
    id: MessageId
    account: Key
    device: Key
    ts: UInt
    flags: UInt
    header: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    body: Annotated[bytes, Meta(max_length=L.BODY_BYTES_MAX)]


class FeedPage(Params, frozen=True):
    """Part of a public topic: up to ``next`` everything is here, or gone (``holes``: first and last offset)."""

    generation: UInt
    head: UInt
    next: UInt
    entries: Annotated[tuple[FeedEntry, ...], Meta(max_length=L.FEED_READ_MAX)] = ()
    holes: Annotated[tuple[tuple[UInt, UInt], ...], Meta(max_length=L.FEED_READ_MAX)] = ()


class PutLink(Params, frozen=True):
    """``link.put``: leave a sealed parcel for a device that is being linked, for ten minutes. Result: nil."""

    slot: Key
    sealed: Annotated[bytes, Meta(max_length=L.LOCKER_BYTES_MAX)]


class GetLink(Params, frozen=True):
    """``link.get``: the parcel in a slot, before or after registration. Result: bytes. 404 if there is none."""

    slot: Key


class PutRecovery(Params, frozen=True):
    """``recovery.put``: what the recovery code opens, sealed; it replaces what was there. Result: nil."""

    sealed: Annotated[bytes, Meta(max_length=L.LOCKER_BYTES_MAX)]


class GetRecovery(Params, frozen=True):
    """``recovery.get``: what the recovery code of an account opens, before or after registration. Result: bytes."""

    account: Key


class SetTokens(Params, frozen=True):
    """``contacts.tokens``: who shows a token with one of these hashes is a contact of this account. Result: nil.

    The hashes replace those before; see ``ids.contact_hash``.
    """

    hashes: Annotated[tuple[Key, ...], Meta(max_length=L.CONTACT_TOKENS_MAX)]


class GetReportKey(Params, frozen=True):
    """``reports.key``: the key that reports are sealed to. Result: bytes. 404 where the operator has set none."""


class PostReport(Params, frozen=True):
    """``reports.post``: a report, sealed to the operator's key. Result: its number (int); the same bytes keep theirs.

    404 where the operator has set no key, 409 if ``key`` is not the present one, 429 and 507 where there are too many.
    """

    key: Key
    sealed: Annotated[bytes, Meta(max_length=L.REPORT_BYTES_MAX)]


class SetPresence(Params, frozen=True):
    """``presence.set``: what others are told while this connection lasts: 0 nothing, 1 online, 2 away. Result: nil.

    A connection that never says it is not told of; one device that says 0 hides the whole account.
    """

    state: Annotated[int, Meta(ge=0, le=2)]


class WatchPresence(Params, frozen=True):
    """``presence.watch``: be told of these accounts for ten minutes, in place of those before. Result: PresenceOf each.

    Only of accounts in a conversation with this one that is not too large; who is in none, hides, or was never there
    looks the same: state 0, seen 0.
    """

    accounts: Annotated[tuple[Key, ...], Meta(max_length=L.PRESENCE_ACCOUNTS_MAX)]


class PresenceOf(Params, frozen=True):
    """An account as others may see it."""

    account: Key
    state: UInt  # 0 not here, 1 online, 2 away
    seen_ms: UInt  # when it was last here, cut to the hour; 0: not known


class ReleaseSlots(Params, frozen=True):
    """``slots.release``: all of these slots is written; another process of the worker may have them. Result: nil."""

    slots: Annotated[tuple[UInt, ...], Meta(max_length=L.SLOTS)]


METHODS: Final[dict[str, type[Params]]] = {
    "devices.publish": PublishList,
    "devices.get": GetLists,
    "handles.claim": ClaimHandle,
    "handles.get": GetHandle,
    "keypackages.put": PutKeyPackages,
    "keypackages.claim": ClaimKeyPackages,
    "blobs.put": PutBlob,
    "blobs.get": GetBlob,
    "blobs.ticket": Ticket,
    "blobs.renew": RenewBlobs,
    "topics.heads": GetHeads,
    "topics.members": GetMembers,
    "topics.reserve": Reserve,
    "topics.list": ListTopics,
    "feeds.read": ReadFeed,
    "feeds.get": GetEntries,
    "link.put": PutLink,
    "link.get": GetLink,
    "recovery.put": PutRecovery,
    "recovery.get": GetRecovery,
    "contacts.tokens": SetTokens,
    "reports.key": GetReportKey,
    "reports.post": PostReport,
    "presence.set": SetPresence,
    "presence.watch": WatchPresence,
    "slots.release": ReleaseSlots,
}


class LoginResult(Params, frozen=True):
    """In OK of a CONNECT."""

    registered: bool  # False: only devices.publish may follow
    list_version: UInt  # of the account's current list; 0 if not registered
    key_packages: UInt  # one-time packages left of this device
    now_ms: UInt


class DevicesChanged(Params, frozen=True):
    """EVT ``devices``: an account's list has a new version."""

    account: Key
    version: UInt


class KeyPackagesLow(Params, frozen=True):
    """EVT ``keypackages.low``: one-time packages left of this device."""

    left: UInt


class PresenceChanged(Params, frozen=True):
    """EVT ``presence``: what has changed about accounts that are watched, of a second at once."""

    accounts: Annotated[tuple[PresenceOf, ...], Meta(max_length=L.PRESENCE_ACCOUNTS_MAX)]


class SlotsChanged(Params, frozen=True):
    """EVT ``slots``: what this process of a worker holds from now on, and what it is asked to release."""

    granted: Annotated[tuple[tuple[UInt, UInt], ...], Meta(max_length=L.SLOTS)] = ()  # (slot, token)
    revoked: Annotated[tuple[UInt, ...], Meta(max_length=L.SLOTS)] = ()  # write, then ``slots.release``


class TopicNews(Params, frozen=True):
    """EVT ``topic``: a topic of a held slot whose frames follow under ``tid``, from offset ``next`` on."""

    tid: UInt
    topic: Key
    generation: UInt
    next: UInt
    head: UInt
    fence: UInt


EVENTS: Final[dict[str, type[Params]]] = {
    "devices": DevicesChanged, "keypackages.low": KeyPackagesLow, "presence": PresenceChanged,
    "slots": SlotsChanged, "topic": TopicNews,
}  # fmt: skip
