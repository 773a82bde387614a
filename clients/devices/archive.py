"""What a new device gets of the past: everything that was told, and whom one knows, sealed under a fresh key.

The archive is cut into blobs that the relay keeps for an hour; the key travels in a box to the new device. MLS states
never travel: the new device enters each conversation by a Welcome of its own. ``Conversation.archived`` says up to
which offset the past was told, so that nothing is told twice where both overlap.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from clients import records as R
from clients.records import Status
from clients.shelf import Shelf, list_key, word_key
from clients.vault import Batch, Vault
from clients.words import Word
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.ids import Entropy, TopicKind

_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_BOUND: Final = b"chappe/v1/archive"
CHUNK_BYTES: Final = L.BLOB_BYTES_MAX - 1024  # room for nonce and tag
ARCHIVE_BYTES_MAX: Final = 1 << 30  # unpacked: a vault of a million messages
_EVENTS_READ: Final = 1000


class Archive(msgspec.Struct, frozen=True):
    """Everything but secrets of conversations."""

    handle: str | None
    conversations: tuple[R.Conversation, ...]
    contacts: tuple[R.Contact, ...]
    lists: tuple[R.KnownList, ...]
    tokens: tuple[R.Token, ...]
    blocked: tuple[bytes, ...]
    contact_token: bytes
    invite_tokens: tuple[bytes, ...]
    events: tuple[tuple[bytes, bytes], ...]  # (topic, event as the vault keeps it)
    mutes: tuple[R.Mute, ...] = ()
    reads: tuple[R.ReadMark, ...] = ()
    follows: tuple[R.Following, ...] = ()
    hidden: tuple[R.HiddenWord, ...] = ()
    listed: tuple[R.Listed, ...] = ()
    words: tuple[Word, ...] = ()  # what of all this is known to own devices already


def _waiting(talk: R.Conversation, now_ms: int) -> R.Conversation:
    """A conversation as the new device knows it until its Welcome comes; it asks for one when none came in time."""
    gone = talk.status in (Status.REMOVED, Status.LEFT)
    return msgspec.structs.replace(
        talk, status=talk.status if gone else Status.WAITING, first_fence=0, past_fence=None, lost_at=talk.cursor,
        archived=talk.cursor, receipt=talk.cursor, readmit_tries=0, founder=False,
        readmit_at_ms=now_ms + L.READMIT_BACKOFF_MS[0],
    )  # fmt: skip


def collect(shelf: Shelf, lists: dict[bytes, bytes], words: tuple[Word, ...] = ()) -> Archive:
    """Everything of now, but the events. ``lists``: signed device lists by account."""
    identity = shelf.identity
    talks = [
        _waiting(talk, shelf.clock_ms())
        for talk in shelf.conversations.values()
        if talk.kind != TopicKind.SELF and talk.status != Status.FOUNDING
    ]
    return Archive(
        identity.handle, tuple(talks), tuple(shelf.contacts.values()),
        tuple(R.KnownList(account, signed) for account, signed in lists.items()),
        tuple(shelf.tokens.values()), tuple(sorted(shelf.blocked)), identity.contact_token, identity.invite_tokens, (),
        tuple(R.Mute(topic, until_ms) for topic, until_ms in shelf.mutes.items()),
        tuple(R.ReadMark(topic, *position) for topic, position in shelf.reads.items()),
        tuple(R.Following(account) for account in sorted(shelf.follows)),
        tuple(R.HiddenWord(word) for word in shelf.hidden.values()),
        tuple(R.Listed(name, account) for name, account in shelf.listed.values()), words,
    )  # fmt: skip


def signed_lists(vault: Vault) -> dict[bytes, bytes]:
    """The device lists in a vault, as signed."""
    return {row.account: row.signed for row in R.rows(vault, R.LISTS, R.KnownList)}


def read_events(vault: Vault, last: int) -> tuple[tuple[bytes, bytes], ...]:
    """Every event of a vault up to number ``last``, in order, with its topic. Blocks on the disk."""
    found: list[tuple[bytes, bytes]] = []
    after = 0
    while after < last and (rows := vault.events(after, _EVENTS_READ)):
        after = rows[-1][0]
        found += [(_topic_of(value), value) for seq, value in rows if seq <= last]
    return tuple(found)


class _Topic(msgspec.Struct):
    topic: bytes


_topics: Final = msgspec.msgpack.Decoder(_Topic)


def _topic_of(value: bytes) -> bytes:
    return _topics.decode(value).topic


# -- sealing -----------------------------------------------------------------------------------------------------------
def seal(archive: Archive, key: bytes, entropy: Entropy) -> Iterator[tuple[bytes, bytes]]:
    """(hash, blob) of each piece. Pieces are bound to their place and to how many there are."""
    packed = zlib.compress(msgspec.msgpack.encode(archive))
    pieces = [packed[start : start + CHUNK_BYTES] for start in range(0, len(packed), CHUNK_BYTES)]
    for place, piece in enumerate(pieces):
        nonce = entropy(_NONCE)
        blob = nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(piece, _bound(place, len(pieces)), nonce, key)
        yield hashlib.sha256(blob).digest(), blob


def unseal(blobs: list[bytes], key: bytes) -> Archive:
    """The archive in these blobs. Raises ``RemoteProtocolError`` (not fatal) if one of them is another or none."""
    pieces = []
    for place, blob in enumerate(blobs):
        try:
            pieces.append(
                sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                    blob[_NONCE:], _bound(place, len(blobs)), blob[:_NONCE], key
                )
            )
        except (CryptoError, ValueError, TypeError):
            raise RemoteProtocolError("a piece of the archive does not open", fatal=False) from None
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(b"".join(pieces), ARCHIVE_BYTES_MAX)
        return msgspec.msgpack.decode(data, type=Archive)
    except (zlib.error, msgspec.DecodeError) as error:
        raise RemoteProtocolError(f"the archive cannot be read: {error}", fatal=False) from None


def _bound(place: int, count: int) -> bytes:
    return _BOUND + place.to_bytes(4, "big") + count.to_bytes(4, "big")


# -- unpacking ---------------------------------------------------------------------------------------------------------
def install(
    vault: Vault, identity: R.Identity, inbox: R.InboxCursor, archive: Archive | None, linking: bytes | None = None
) -> None:
    """Make a vault that of a linked device: all of it in one transaction. Blocks on the disk.

    ``linking``: what is still to be remembered of the linking; None: it is over.
    """
    batch = Batch()
    if archive is not None:
        identity.handle = archive.handle
        identity.contact_token, identity.invite_tokens = archive.contact_token, archive.invite_tokens
        identity.published_tokens = archive.invite_tokens + (archive.contact_token,) * bool(archive.contact_token)
        for talk in archive.conversations:
            batch.put(R.CONVERSATIONS, talk.topic, msgspec.msgpack.encode(talk))
        for contact in archive.contacts:
            batch.put(R.CONTACTS, contact.account, msgspec.msgpack.encode(contact))
        for known in archive.lists:
            batch.put(R.LISTS, known.account, msgspec.msgpack.encode(known))
        for token in archive.tokens:
            batch.put(R.TOKENS, token.account, msgspec.msgpack.encode(token))
        for account in archive.blocked:
            batch.put(R.BLOCKS, account, msgspec.msgpack.encode(R.Blocked(account)))
        for mute in archive.mutes:
            batch.put(R.MUTES, mute.topic, msgspec.msgpack.encode(mute))
        for mark in archive.reads:
            batch.put(R.READS, mark.topic, msgspec.msgpack.encode(mark))
        for following in archive.follows:
            batch.put(R.FOLLOWS, following.account, msgspec.msgpack.encode(following))
        for hidden in archive.hidden:
            batch.put(R.HIDDEN, word_key(hidden.word), msgspec.msgpack.encode(hidden))
        for one in archive.listed:
            batch.put(R.LISTED, list_key(one.name, one.account), msgspec.msgpack.encode(one))
        for word in archive.words:
            batch.put(R.WORDS, word.row, msgspec.msgpack.encode(word))
        for seq, (topic, value) in enumerate(archive.events, 1):
            batch.events.append((seq, topic, value))
    own = R.KnownList(identity.account, identity.signed_list)
    batch.put(R.LISTS, identity.account, msgspec.msgpack.encode(own))
    batch.put(R.META, b"identity", msgspec.msgpack.encode(identity))
    batch.put(R.META, b"inbox", msgspec.msgpack.encode(inbox))
    batch.put(R.META, b"linking", linking)
    vault.commit([batch])
