"""Linking a device: one shows a code, another one of the account approves it.

1. The new device makes keys and shows a code: its keys, and a secret under which both meet at the relay.
2. The approving device signs a list with the new device, publishes it, and leaves an *admission* in the slot.
3. The new device logs in as what it now is, stores key packages, and says so in a box.
4. The approving device lets it into its conversations, recent ones first; then it seals an *archive* of everything told
   so far, uploads it in pieces, and leaves the key. (In this order, so that the archive covers what was said before.)
5. The new device unpacks the archive into its vault in one transaction. From then on it is a client like any other.

Either side may fail at any point: a device on the list is let into conversations whenever another one of the account
is online (``care``), with or without its past.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
import trio
from nacl import bindings as sodium

from clients import account as accounts
from clients import records as R
from clients.connection import Link, LinkDown, Refusal
from clients.devices import archive, lists
from clients.devices.code import SECRET_BYTES, LinkCode
from clients.devices.parcels import (
    ADMISSION,
    ARCHIVE,
    Admission,
    ArchiveKey,
    LinkFailed,
    Parcel,
    inbox_place,
    leave,
    open_bare,
    open_shelf,
    wait_for,
)
from clients.devices.party import Party
from clients.engine import Engine
from clients.sealing import Opened, seal_box
from clients.shelf import Shelf
from clients.vault import Batch, Vault
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.frames import Flag, Pub
from protocol.identity import DeviceList, IdentityError, SigningKey, verify_list
from protocol.ids import Entropy, inbox_topic, new_id
from protocol.messages import compose
from protocol.messages.key import Linked
from protocol.requests import GetBlob, PutBlob

READY_S: Final = 120  # until a new device must have logged in
ADMIT_S: Final = 20  # until the archive is made, even if a conversation cannot be changed yet
ARCHIVE_S: Final = 180  # until a new device goes on without its past
RETRY_S: Final = 1.0
HASHES_MAX: Final = 1_800  # pieces whose hashes fit the box: 1.7 GB
T = TypeVar("T")
P = TypeVar("P", bound=Parcel)


class Linking(msgspec.Struct):
    """What a device remembers while it is being linked."""

    device_seed: bytes
    inbox_private: bytes
    secret: bytes

    def code(self) -> LinkCode:
        """What it shows."""
        public = sodium.crypto_scalarmult_base(self.inbox_private)
        return LinkCode(SigningKey(self.device_seed).public, public, self.secret)


# -- the new device ----------------------------------------------------------------------------------------------------
class NewDevice:
    """A vault that is to become a device of somebody's account."""

    def __init__(self, url: str, vault: Vault, clock_ms: Callable[[], int], entropy: Entropy) -> None:
        self._url = url
        self._vault = vault
        self._clock_ms = clock_ms
        self._entropy = entropy
        known = vault.get(R.META, b"linking")
        if known is None and accounts.has_identity(vault):
            raise LinkFailed("this vault has an account already; start with another --data directory")
        if known is None:
            self._state = Linking(entropy(32), entropy(32), entropy(SECRET_BYTES))
            self._save()
        else:
            self._state = msgspec.msgpack.decode(known, type=Linking)
        self.code = self._state.code()

    def _save(self) -> None:
        batch = Batch()
        batch.put(R.META, b"linking", msgspec.msgpack.encode(self._state))
        self._vault.commit([batch])

    async def link(self) -> bool:
        """Wait for the approval and take what comes with it. False: without the past, which did not come in time.

        Raises ``LinkFailed``.
        """
        key = SigningKey(self._state.device_seed)
        opened, admission = await self._patiently(key, key.public, 1, self._admitted, L.LINK_MS / 1000)
        devices = self._judge(opened, admission)
        identity = R.Identity(
            devices.account, None, self._state.device_seed, self._state.inbox_private, self.code.inbox_key,
            admission.signed_list,
        )  # fmt: skip
        inbox = R.InboxCursor(*admission.inbox)
        linking = msgspec.msgpack.encode(self._state)
        await trio.to_thread.run_sync(archive.install, self._vault, identity, inbox, None, linking)
        past: archive.Archive | None = None
        try:
            past = await self._patiently(key, devices.account, devices.version, self._settle(opened.device), ARCHIVE_S)
        except LinkFailed:
            past = None
        await trio.to_thread.run_sync(archive.install, self._vault, identity, inbox, past)
        return past is not None

    async def _patiently(
        self, key: SigningKey, account: bytes, version: int, action: Callable[[Link], Awaitable[T]], seconds: float
    ) -> T:
        """Do something over as many connections as it takes. Raises ``LinkFailed``."""
        why = "nobody has approved it in time"
        with trio.move_on_after(seconds):
            while True:
                try:
                    async with open_bare(self._url, key, account, version, self._entropy) as link:
                        return await action(link)
                except LinkDown as error:
                    if error.final:
                        raise LinkFailed(f"this device cannot be linked: {error.reason}") from None
                    why = error.reason
                except (Refusal, RemoteProtocolError) as error:
                    why = str(error)
                await trio.sleep(RETRY_S)
        raise LinkFailed(f"linking took too long: {why}; start again")

    async def _admitted(self, link: Link) -> tuple[Opened, Admission]:
        return await wait_for(link, self.code, ADMISSION, self._state.inbox_private, Admission)

    def _judge(self, opened: Opened, admission: Admission) -> DeviceList:
        try:
            devices = verify_list(admission.signed_list, account=opened.account)
        except (IdentityError, RemoteProtocolError) as error:
            raise LinkFailed(f"the device list that was left for this device is not good: {error}") from None
        mine = devices.device(self.code.device)
        if mine is None or mine.inbox_key != self.code.inbox_key or devices.device(opened.device) is None:
            raise LinkFailed("the device list that was left for this device does not name it; start again")
        return devices

    def _settle(self, approver: bytes) -> Callable[[Link], Awaitable[archive.Archive | None]]:
        async def settle(link: Link) -> archive.Archive | None:
            async with open_shelf(self._vault, self._clock_ms, self._entropy) as shelf:
                await accounts.refill_key_packages(shelf, link, link.login.key_packages)
                await self._say_ready(link, shelf, approver)
            _, found = await wait_for(link, self.code, ARCHIVE, self._state.inbox_private, ArchiveKey)
            if not found.hashes:
                return None
            blobs = [await link.ask("blobs.get", GetBlob(value), bytes) for value in found.hashes]
            return await trio.to_thread.run_sync(archive.unseal, blobs, found.key)

        return settle

    async def _say_ready(self, link: Link, shelf: Shelf, approver: bytes) -> None:
        devices = verify_list(shelf.identity.signed_list, account=shelf.account)
        to = devices.device(approver)
        if to is None:
            raise LinkFailed("the device that approved this one is not on the list any more")
        message_id = new_id(self._clock_ms(), self._entropy)
        sealed = seal_box(
            compose(Linked()), recipient=to.key, inbox_key=to.inbox_key, message_id=message_id, account=shelf.account,
            sender=shelf.device, entropy=self._entropy,
        )  # fmt: skip
        await link.call(Pub(0, inbox_topic(shelf.account), message_id, flags=int(Flag.SEALED), body=sealed))


# -- the approving device ----------------------------------------------------------------------------------------------
async def approve(client: Party, text: str, say: Callable[[str], None] = lambda text: None) -> bytes:
    """Make the device that shows the code ``text`` one of ours, and give it everything; its key.

    ``say`` is told how far it is. Raises ``BadCode``, ``CannotSign``, ``LinkFailed``, ``Refusal``, ``LinkDown``.
    """
    code = LinkCode.read(text)
    engine, link = client.engine, await client.wait_connected()
    shelf, care = engine.shelf, engine.care
    signed = lists.with_device(shelf.identity, code.device, code.inbox_key, shelf.clock_ms())
    care.hurry(code.device)
    care.ready.discard(code.device)
    await lists.publish(shelf, link, signed)
    admission = Admission(code.secret, signed, inbox_place(shelf.inbox))
    await leave(
        link, code, ADMISSION, admission, account=shelf.account, sender=shelf.device, entropy=shelf.entropy
    )  # fmt: skip
    say("the device is on your list; waiting for it to log in")
    with trio.move_on_after(READY_S):
        while code.device not in care.ready:
            await care.changed.wait()
    if code.device not in care.ready:
        raise LinkFailed("the new device did not log in; it will be let in when it does, without your history")
    with trio.move_on_after(ADMIT_S):
        while care.lacking(code.device):
            await care.changed.wait()
    waiting = len(care.lacking(code.device))
    say("it is in your conversations; sending your history" + (f" ({waiting} still to come)" if waiting else ""))
    link = await client.wait_connected()
    found = await _upload(engine, link, code.secret)
    await leave(link, code, ARCHIVE, found, account=shelf.account, sender=shelf.device, entropy=shelf.entropy)
    say("done")
    return code.device


async def _upload(engine: Engine, link: Link, secret: bytes) -> ArchiveKey:
    shelf = engine.shelf
    known = await trio.to_thread.run_sync(archive.signed_lists, shelf.vault)
    snapshot, last = archive.collect(shelf, known, engine.own.everything()), shelf.journal.last_seq
    await shelf.journal.flushed()
    events = await trio.to_thread.run_sync(archive.read_events, shelf.vault, last)
    key = shelf.entropy(32)
    whole = msgspec.structs.replace(snapshot, events=events)
    pieces = await trio.to_thread.run_sync(lambda: list(archive.seal(whole, key, shelf.entropy)))
    if len(pieces) > HASHES_MAX:
        return ArchiveKey(secret, key, ())
    for value, blob in pieces:
        await link.ask("blobs.put", PutBlob(value, blob), type(None))
    return ArchiveKey(secret, key, tuple(value for value, _ in pieces))


__all__ = ["LinkFailed", "Linking", "NewDevice", "approve"]
