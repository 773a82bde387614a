"""REQ: the directory half of the relay, by method name.

Every method is a coroutine from typed parameters to an ``Answer`` or a refusal. The requests of one connection are
answered one after the other, in order, so that what they hold in memory is bounded by one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from protocol import identity
from protocol import requests as R
from protocol.codec import decode_struct, encode_struct
from protocol.errors import Code, Reason, RemoteProtocolError
from protocol.frames import Evt, Frame, Req, SubResult
from protocol.identity import DeviceList, IdentityError
from protocol.limits import BLOB_RESERVE_BYTES, KEY_PACKAGES_LOW, KEY_PACKAGES_MAX, LIST_TOPICS_MAX, MESSAGE_BYTES_MAX
from protocol.puzzle import Puzzle
from relay import feeds
from relay.admission import registration
from relay.bounds import CLAIM_DEVICES_MAX, RETRY_MS
from relay.context import Relay
from relay.lease import Lease
from relay.parcels import Parcels
from relay.seam import Peer
from storage.base import Account, Refused, StoreAway, TopicState

NIL: Final = b"\xc0"
#: What a device may ask before it is on any list: what it needs to get onto one.
UNREGISTERED: Final = frozenset({"devices.publish", "devices.get", "handles.get", "link.get", "recovery.get"})


class Client(Protocol):
    """The connection that asks."""

    account: bytes
    device: bytes
    is_registered: bool
    peer: Peer
    login_number: int
    wants_slots: bool
    is_shared: bool
    lease: Lease | None

    @property
    def is_over(self) -> bool: ...

    @property
    def nonce(self) -> bytes: ...

    def send(self, frame: Frame) -> None: ...

    def registered(self, login: int) -> bool:
        """The device is on its account's list now. False: a newer login of it exists."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An encoded result, and what to do once it was sent."""

    result: bytes
    then: Callable[[], None] | None = None


Method = Callable[["DeliveryService", Client, Any], Awaitable[Answer | Refused]]


class DeliveryService:
    """Answers requests of all connections of a relay."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._store = relay.store
        self._parcels = Parcels(relay.store.lockers, relay.clock_ms, relay.tick_ms)

    async def answer(self, client: Client, request: Req) -> Answer | Refused:
        """Answer one request. Never raises for anything that a peer or the store may do."""
        method, type_ = _METHODS.get(request.method), R.METHODS.get(request.method)
        if method is None or type_ is None:
            return Refused(Code.UNKNOWN_METHOD, "no such method here; protocol/SPEC.md lists those there are")
        if not client.is_registered and request.method not in UNREGISTERED:
            return Refused(Code.UNAUTHENTICATED, "this device is not registered yet; send devices.publish first")
        try:
            return await method(self, client, decode_struct(request.params, type_))
        except (RemoteProtocolError, IdentityError) as error:
            return Refused(Code.FRAME, f"{request.method}: {error}"[:500])
        except StoreAway as error:
            return Refused(Code.STORE_AWAY, f"{error}; retry after retry_ms"[:400], retry_ms=RETRY_MS)

    # -- device lists --------------------------------------------------------------------------------------------------
    async def publish_list(self, client: Client, params: R.PublishList) -> Answer | Refused:
        """``devices.publish``: registration, renewal, linking, revocation."""
        (known,) = await self._store.accounts.get([client.account])
        devices = identity.verify_list(
            params.signed, None if known is None else identity.open_signed(known.signed), account=client.account
        )
        refusal = self._judge_list(client, params.signed, devices, known)
        if refusal is not None:
            return refusal
        invite = self._invite_of(client, params) if known is None else b""
        if isinstance(invite, Refused):
            return invite
        outcome = await self._store.accounts.publish_list(
            devices.account, devices.version, params.signed, devices.expires_ms,
            [device.key for device in devices.devices], devices.service, client.device, invite,
        )  # fmt: skip
        if isinstance(outcome, Refused):
            return outcome
        self._relay.counters.invited += bool(invite) and not outcome.duplicate
        if not client.is_registered and devices.device(client.device) is not None:
            shared = client.is_shared = client.wants_slots and devices.service
            login = await self._store.accounts.login(client.account, client.device, client.login_number, shared=shared)
            if isinstance(login, Refused):
                return login
            client.registered(login.number)
        entries = outcome.entries

        def tell() -> None:
            for entry in entries:
                self._relay.committed(entry)

        return Answer(encode_struct(devices.version), tell)

    def _invite_of(self, client: Client, params: R.PublishList) -> bytes | Refused:
        """Hash of the invitation that registering uses up; empty: it needs none."""
        settings = self._relay.settings
        puzzle = Puzzle(self._relay.cluster, client.account, client.nonce, settings.proof_bits)
        judged = registration.judge(settings.registration, puzzle, params.invite, params.proof)
        if isinstance(judged, registration.Welcome):
            return judged.invite
        why, refusal = judged
        self._relay.counters.refusals[why] += 1
        return refusal

    def _judge_list(self, client: Client, signed: bytes, devices: DeviceList, known: Account | None) -> Refused | None:
        now_ms = self._relay.clock_ms()
        version = 0 if known is None else known.version
        if devices.version != version + 1 and (known is None or known.signed != signed):
            text = f"the current version is {version}, so the next is {version + 1}, not {devices.version}"
            return Refused(Code.CONFLICT, text, Reason.VERSION, offset=version)
        if known is None and devices.device(client.device) is None:
            return Refused(Code.FORBIDDEN, "the first device list must name the device that publishes it")
        if identity.is_expired(devices, now_ms):
            return Refused(Code.EXPIRED, "the device list has expired already; set the clock, or sign a new one")
        if identity.is_premature(devices, now_ms):
            return Refused(Code.FRAME, "the device list was made more than a day ahead; set this device's clock")
        return None

    async def get_lists(self, client: Client, params: R.GetLists) -> Answer | Refused:
        """``devices.get``"""
        accounts = await self._store.accounts.get(params.accounts)
        return self._fitting([None if account is None else account.signed for account in accounts])

    def _fitting(self, result: object) -> Answer | Refused:
        encoded = encode_struct(result)
        if len(encoded) > MESSAGE_BYTES_MAX - 64:
            return Refused(Code.TOO_LARGE, "the answer would not fit one message; ask for fewer at once")
        return Answer(encoded)

    # -- handles -------------------------------------------------------------------------------------------------------
    async def claim_handle(self, client: Client, params: R.ClaimHandle) -> Answer | Refused:
        """``handles.claim``"""
        refusal = await self._store.accounts.claim_handle(client.account, params.handle)
        return refusal or Answer(NIL)

    async def get_handle(self, client: Client, params: R.GetHandle) -> Answer | Refused:
        """``handles.get``"""
        account = await self._store.accounts.resolve_handle(params.handle)
        return Refused(Code.NOT_FOUND, "nobody has this handle") if account is None else Answer(encode_struct(account))

    # -- key packages --------------------------------------------------------------------------------------------------
    async def put_key_packages(self, client: Client, params: R.PutKeyPackages) -> Answer | Refused:
        """``keypackages.put``"""
        most = min(self._relay.rules.bound(client.account, "key_packages"), KEY_PACKAGES_MAX)
        count = await self._store.key_packages.put(
            client.account, client.device, params.packages, params.last_resort, most
        )
        return Answer(encode_struct(count))

    async def claim_key_packages(self, client: Client, params: R.ClaimKeyPackages) -> Answer | Refused:
        """``keypackages.claim``: a claim is not repeatable, so its size is judged before anything is handed out."""
        wanted = tuple(dict.fromkeys(params.accounts))
        accounts = await self._store.accounts.get(wanted)
        devices = sum(len(account.devices) for account in accounts if account is not None)
        if devices > CLAIM_DEVICES_MAX:
            text = f"{devices} devices at once; at most {CLAIM_DEVICES_MAX}: claim for fewer accounts"
            return Refused(Code.TOO_LARGE, text)
        serving = {account.account for account in accounts if account is not None and account.service}
        shown = [(account, token) for account, token in params.tokens if account in wanted]
        known = serving | await self._store.contacts.known(client.account, shown)
        claimed = await self._store.key_packages.claim(
            wanted, devices=params.devices, strangers={account for account in wanted if account not in known}
        )
        for package in claimed:
            if not package.last_resort and package.left < KEY_PACKAGES_LOW:
                self._warn_low(package.device, package.left)
        return Answer(encode_struct([R.ClaimedPackage(c.account, c.device, c.package, c.last_resort) for c in claimed]))

    def _warn_low(self, device: bytes, left: int) -> None:
        online = self._relay.registry.device(device)
        if online is not None:
            online.send(Evt("keypackages.low", msgspec.Raw(encode_struct(R.KeyPackagesLow(left)))))

    # -- blobs ---------------------------------------------------------------------------------------------------------
    async def put_blob(self, client: Client, params: R.PutBlob) -> Answer | Refused:
        """``blobs.put``"""
        if hashlib.sha256(params.data).digest() != params.hash:
            return Refused(Code.FRAME, "blobs.put: the hash is not the SHA-256 of the data")
        quota = self._relay.settings.blob_quota_bytes
        room = quota + BLOB_RESERVE_BYTES if quota else 0
        refusal = await self._store.blobs.put(params.hash, params.data, account=client.account, quota_bytes=room)
        return refusal or Answer(NIL)

    async def get_blob(self, client: Client, params: R.GetBlob) -> Answer | Refused:
        """``blobs.get``"""
        data = await self._store.blobs.get(params.hash)
        return Refused(Code.NOT_FOUND, "no such blob") if data is None else self._fitting(data)

    async def ticket(self, client: Client, params: R.Ticket) -> Answer | Refused:
        """``blobs.ticket``"""
        ticket, life_ms = self._relay.tickets.issue(client.account, client.device)
        return Answer(encode_struct((ticket, self._relay.clock_ms() + life_ms)))

    async def renew_blobs(self, client: Client, params: R.RenewBlobs) -> Answer | Refused:
        """``blobs.renew``"""
        return Answer(encode_struct(await self._store.blobs.renew(params.hashes)))

    # -- topics --------------------------------------------------------------------------------------------------------
    async def heads(self, client: Client, params: R.GetHeads) -> Answer | Refused:
        """``topics.heads``"""
        states = await self._store.topics.states(params.topics, client.account)
        return Answer(encode_struct([_head(state) for state in states]))

    async def members(self, client: Client, params: R.GetMembers) -> Answer | Refused:
        """``topics.members``"""
        if await self._store.topics.state(params.topic, client.account) is None:
            return Refused(Code.NOT_FOUND, "no such topic, or not yours")
        members = await self._store.topics.members(params.topic)
        return self._fitting([(account, role) for account, role, _ in members])

    async def reserve(self, client: Client, params: R.Reserve) -> Answer | Refused:
        """``topics.reserve``"""
        until = await self._store.topics.reserve(params.topic, client.account, client.device)
        return until if isinstance(until, Refused) else Answer(encode_struct(until))

    async def list_topics(self, client: Client, params: R.ListTopics) -> Answer | Refused:
        """``topics.list``"""
        rows = await self._store.topics.of_account(client.account, params.after, LIST_TOPICS_MAX)
        return Answer(encode_struct([R.OwnTopic(*row) for row in rows]))

    # -- public topics -------------------------------------------------------------------------------------------------
    async def read_feed(self, client: Client, params: R.ReadFeed) -> Answer | Refused:
        """``feeds.read``"""
        page = await feeds.read(self._store.topics, client.account, params)
        return page if isinstance(page, Refused) else Answer(encode_struct(page))

    async def get_entries(self, client: Client, params: R.GetEntries) -> Answer | Refused:
        """``feeds.get``"""
        return Answer(encode_struct(await feeds.get(self._store.topics, client.account, params)))

    # -- linking, recovery, contacts -----------------------------------------------------------------------------------
    async def put_link(self, client: Client, params: R.PutLink) -> Answer | Refused:
        """``link.put``"""
        return await self._parcels.put_link(client.account, params.slot, params.sealed) or Answer(NIL)

    async def get_link(self, client: Client, params: R.GetLink) -> Answer | Refused:
        """``link.get``"""
        found = await self._parcels.get_link(client.peer.address, params.slot)
        return found if isinstance(found, Refused) else Answer(encode_struct(found))

    async def put_recovery(self, client: Client, params: R.PutRecovery) -> Answer | Refused:
        """``recovery.put``"""
        return await self._parcels.put_recovery(client.account, params.sealed) or Answer(NIL)

    async def get_recovery(self, client: Client, params: R.GetRecovery) -> Answer | Refused:
        """``recovery.get``"""
        found = await self._parcels.get_recovery(client.peer.address, params.account)
        return found if isinstance(found, Refused) else Answer(encode_struct(found))

    async def set_tokens(self, client: Client, params: R.SetTokens) -> Answer | Refused:
        """``contacts.tokens``"""
        await self._store.contacts.set_tokens(client.account, params.hashes)
        return Answer(NIL)

    # -- reports -------------------------------------------------------------------------------------------------------
    async def report_key(self, client: Client, params: R.GetReportKey) -> Answer | Refused:
        """``reports.key``"""
        key = self._relay.reports.key()
        return key if isinstance(key, Refused) else Answer(encode_struct(key))

    async def post_report(self, client: Client, params: R.PostReport) -> Answer | Refused:
        """``reports.post``"""
        number = await self._relay.reports.post(client.account, params.key, params.sealed)
        return number if isinstance(number, Refused) else Answer(encode_struct(number))

    # -- presence ------------------------------------------------------------------------------------------------------
    async def set_presence(self, client: Client, params: R.SetPresence) -> Answer | Refused:
        """``presence.set``"""
        self._relay.presence.set(client, params.state)
        return Answer(NIL)

    async def watch_presence(self, client: Client, params: R.WatchPresence) -> Answer | Refused:
        """``presence.watch``"""
        return Answer(encode_struct(await self._relay.presence.watch(client, params.accounts)))

    async def release_slots(self, client: Client, params: R.ReleaseSlots) -> Answer | Refused:
        """``slots.release``"""
        if client.lease is not None:
            self._relay.slots.release(client.lease, params.slots)
        return Answer(NIL)


def _head(state: TopicState | None) -> SubResult:
    if state is None:
        return SubResult(0, code=Code.NOT_FOUND)
    return SubResult(0, state.generation, state.head, state.group, state.fence)


_METHODS: Final[dict[str, Method]] = {
    "devices.publish": DeliveryService.publish_list,
    "devices.get": DeliveryService.get_lists,
    "handles.claim": DeliveryService.claim_handle,
    "handles.get": DeliveryService.get_handle,
    "keypackages.put": DeliveryService.put_key_packages,
    "keypackages.claim": DeliveryService.claim_key_packages,
    "blobs.put": DeliveryService.put_blob,
    "blobs.get": DeliveryService.get_blob,
    "blobs.ticket": DeliveryService.ticket,
    "blobs.renew": DeliveryService.renew_blobs,
    "topics.heads": DeliveryService.heads,
    "topics.members": DeliveryService.members,
    "topics.reserve": DeliveryService.reserve,
    "topics.list": DeliveryService.list_topics,
    "feeds.read": DeliveryService.read_feed,
    "feeds.get": DeliveryService.get_entries,
    "link.put": DeliveryService.put_link,
    "link.get": DeliveryService.get_link,
    "recovery.put": DeliveryService.put_recovery,
    "recovery.get": DeliveryService.get_recovery,
    "contacts.tokens": DeliveryService.set_tokens,
    "reports.key": DeliveryService.report_key,
    "reports.post": DeliveryService.post_report,
    "presence.set": DeliveryService.set_presence,
    "presence.watch": DeliveryService.watch_presence,
    "slots.release": DeliveryService.release_slots,
}
