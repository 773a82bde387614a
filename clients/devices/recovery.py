"""The sole device is lost: a code, written down once, brings the account back on a new one.

The code is a random 128-bit secret. Under a key derived from it lie, sealed at the relay, the seeds that may sign
device lists, and who the contacts are. The new device signs a list of its own with the recovery key, which outranks the
root from then on, and is let into each conversation by a member who is online, as any device that lost its place. What
was said before is gone with the old device: no archive and no state of a group lies at the relay. Contacts see that the
account was recovered; who had verified it is asked to do so again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
import trio
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from clients import account as accounts
from clients import records as R
from clients.connection import Link, LinkDown, Refusal
from clients.devices import archive
from clients.devices.code import RECOVERY_BYTES, read_recovery, recovery_text
from clients.devices.lists import CannotSign, following
from clients.devices.parcels import LinkFailed, open_bare, open_shelf
from clients.devices.party import Party
from clients.records import Status
from clients.shelf import Shelf
from clients.vault import Vault
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.frames import Role, SubResult
from protocol.identity import Device, DeviceList, IdentityError, SigningKey, sign_list, verify_list
from protocol.ids import Entropy, TopicKind, inbox_topic, self_topic
from protocol.requests import (
    GetHandle,
    GetHeads,
    GetLists,
    GetMembers,
    GetRecovery,
    ListTopics,
    OwnTopic,
    PublishList,
    PutRecovery,
)

_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_BOUND: Final = b"chappe/v1/recovery"
_CONTACTS_BYTES: Final = L.LOCKER_BYTES_MAX - 8 * 1024  # room for seeds and what seals them


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What lies at the relay under the recovery code."""

    recovery_seed: bytes
    root_seed: bytes | None
    handle: str | None
    contacts: tuple[R.Contact, ...]


def key_of(secret: bytes, account: bytes) -> bytes:
    """The key that a code stands for. The secret has full entropy, so nothing is gained by making this slow."""
    return hashlib.blake2b(account, key=secret, digest_size=32, person=b"chappe-recover").digest()


def seal(kept: Kept, key: bytes, account: bytes, entropy: Entropy) -> bytes:
    """The parcel for the relay."""
    nonce = entropy(_NONCE)
    data = msgspec.msgpack.encode(kept)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(data, _BOUND + account, nonce, key)


def unseal(sealed: bytes, key: bytes, account: bytes) -> Kept:
    """What is in the parcel. Raises ``LinkFailed`` if the key is another."""
    try:
        data = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed[_NONCE:], _BOUND + account, sealed[:_NONCE], key
        )
        return msgspec.msgpack.decode(data, type=Kept)
    except (CryptoError, ValueError, TypeError, msgspec.DecodeError):
        raise LinkFailed("the recovery code does not open what lies at the relay; is it the newest one?") from None


# -- while all is well -------------------------------------------------------------------------------------------------
async def make_code(client: Party) -> str:
    """A new recovery code, to be written down: it is not kept, and older ones stop working.

    Raises ``CannotSign`` on devices that do not hold the recovery key, ``Refusal``, ``LinkDown``.
    """
    shelf = client.engine.shelf
    if shelf.identity.recovery_seed is None:
        raise CannotSign("this device does not hold the account's recovery key; make the code on your first device")
    secret = shelf.entropy(RECOVERY_BYTES)
    shelf.identity.recovery_key = key_of(secret, shelf.account)
    shelf.save_identity()
    await refresh(shelf, await client.wait_connected())
    await shelf.journal.flushed()
    return recovery_text(secret)


async def refresh(shelf: Shelf, link: Link) -> None:
    """Seal what is known now, where a code was ever made. Raises ``Refusal``, ``LinkDown``."""
    identity = shelf.identity
    if identity.recovery_key is None or identity.recovery_seed is None:
        return
    contacts: list[R.Contact] = []
    size = 0
    for contact in shelf.contacts.values():
        size += len(msgspec.msgpack.encode(contact))
        if size > _CONTACTS_BYTES:
            break
        contacts.append(contact)
    kept = Kept(identity.recovery_seed, identity.root_seed, identity.handle, tuple(contacts))
    sealed = seal(kept, identity.recovery_key, shelf.account, shelf.entropy)
    await link.ask("recovery.put", PutRecovery(sealed), type(None))


# -- when it is not ----------------------------------------------------------------------------------------------------
async def recover(
    url: str, vault: Vault, code: str, handle: str, *, clock_ms: Callable[[], int], entropy: Entropy
) -> None:  # fmt: skip
    """Make a fresh vault that of the account whose code this is. Raises ``BadCode``, ``LinkFailed``."""
    secret = read_recovery(code)
    if accounts.has_identity(vault):
        raise LinkFailed("this vault has an account already; start with another --data directory")
    try:
        await Recovery(url, vault, clock_ms, entropy).run(secret, handle)
    except (LinkDown, Refusal, RemoteProtocolError, IdentityError) as error:
        raise LinkFailed(f"the account cannot be recovered: {error}") from None


class Recovery:
    """One recovery: a new device, its list, and what it needs to be let in again."""

    def __init__(self, url: str, vault: Vault, clock_ms: Callable[[], int], entropy: Entropy) -> None:
        self._url = url
        self._vault = vault
        self._clock_ms = clock_ms
        self._entropy = entropy
        self._device = SigningKey(entropy(32))
        self._inbox_private = entropy(32)
        self._inbox_key = sodium.crypto_scalarmult_base(self._inbox_private)

    async def run(self, secret: bytes, handle: str) -> None:
        """From the secret to a vault. The old devices are off the list when this returns."""
        async with open_bare(self._url, self._device, self._device.public, 1, self._entropy) as link:
            account = await link.ask("handles.get", GetHandle(handle), bytes)
            sealed = await link.ask("recovery.get", GetRecovery(account), bytes)
            (current,) = await link.ask("devices.get", GetLists((account,)), list[bytes | None])
        key = key_of(secret, account)
        kept = unseal(sealed, key, account)
        signed, devices = self._own_list(account, kept, current)
        async with open_bare(self._url, self._device, account, devices.version, self._entropy) as link:
            await link.ask("devices.publish", PublishList(signed), int)
            (inbox,) = await link.ask("topics.heads", GetHeads((inbox_topic(account),)), list[SubResult])
            talks = await self._conversations(link, account)
            lists = await self._lists(link, {member for talk in talks for member in talk.roster} - {account})
            identity = R.Identity(
                account, kept.root_seed, self._device.seed, self._inbox_private, self._inbox_key, signed,
                recovery_seed=kept.recovery_seed, recovery_key=key,
            )  # fmt: skip
            past = archive.Archive(kept.handle, tuple(talks), kept.contacts, lists, (), (), b"", (), ())
            place = R.InboxCursor(inbox.generation or 1, inbox.head)
            await trio.to_thread.run_sync(archive.install, self._vault, identity, place, past)
            async with open_shelf(self._vault, self._clock_ms, self._entropy) as shelf:
                await accounts.refill_key_packages(shelf, link, 0)  # before anybody is asked to let us in

    def _own_list(self, account: bytes, kept: Kept, current: bytes | None) -> tuple[bytes, DeviceList]:
        recovery = SigningKey(kept.recovery_seed)
        if current is None:
            raise LinkFailed("the relay has no device list of this account")
        known = verify_list(current, account=account)
        if known.recovery != recovery.public:
            raise LinkFailed("the account has another recovery key than the code brings")
        now = self._clock_ms()
        mine = Device(self._device.public, self._inbox_key, now, True)
        devices = msgspec.structs.replace(following(known, (mine,), now), recovered=True)
        return sign_list(devices, recovery), devices

    async def _conversations(self, link: Link, account: bytes) -> list[R.Conversation]:
        """All that the relay lists us in; locked, so that the client asks to be let in."""
        talks: list[R.Conversation] = []
        after = bytes(L.KEY_BYTES)
        while rows := await link.ask("topics.list", ListTopics(after), list[OwnTopic]):
            after = rows[-1].topic
            talks += [await self._conversation(link, row, account) for row in rows]
        return talks

    @staticmethod
    async def _conversation(link: Link, row: OwnTopic, account: bytes) -> R.Conversation:
        if row.topic == self_topic(account):
            # Nobody is left who could let us in, so it begins anew, as a restored one does; who is in it, we know.
            roster = {account: int(Role.OWNER)}
            return R.Conversation(row.topic, TopicKind.SELF, Status.LOCKED, roster=roster, recovering=True)
        members = await link.ask("topics.members", GetMembers(row.topic), list[tuple[bytes, int]])
        return R.Conversation(row.topic, row.kind, Status.LOCKED, roster=dict(members))

    async def _lists(self, link: Link, members: set[bytes]) -> tuple[R.KnownList, ...]:
        """Whom we may ask. Trusted on first use, as everybody is whom one has not verified."""
        wanted, found = sorted(members), []
        for start in range(0, len(wanted), L.CLAIM_ACCOUNTS_MAX):
            part = tuple(wanted[start : start + L.CLAIM_ACCOUNTS_MAX])
            signed_lists = await link.ask("devices.get", GetLists(part), list[bytes | None])
            for account, signed in zip(part, signed_lists, strict=False):
                if signed is not None:
                    verify_list(signed, account=account)
                    found.append(R.KnownList(account, signed))
        return tuple(found)
