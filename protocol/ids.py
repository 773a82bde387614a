"""Identifiers: what they are made of, and how the relay recomputes those that are derived.

An *account* is its Ed25519 root public key, a *device* its Ed25519 public key, a *topic* 32 bytes, a *message id* 16.
Every derived value is SHA-256 over a domain-separated, length-prefixed concatenation, so no two kinds can collide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Final

from protocol.limits import FEED_SHARDS, ID_BYTES

_DOMAIN: Final = b"chappe/v1/"
Entropy = Callable[[int], bytes]  # entropy(n) -> n unpredictable bytes


class TopicKind(IntEnum):
    """What a topic is for: decides who may create, read and append."""

    GROUP = 1  # H(creator, nonce): a private conversation with a roster
    PAIR = 2  # H(both accounts, sorted): a private conversation of two, both owners
    INBOX = 3  # H(account): anybody appends, the account reads
    SELF = 4  # H(account): the account's own devices
    FEED = 5  # H(account): signed public entries of one account
    SHARD = 6  # H(number): where entries of a 64th of all feeds are; the relay appends, everybody reads
    ABOUT = 7  # H(key of an entry): where the entries are that answer, repeat or like one; the relay appends


PUBLIC_KINDS: Final = frozenset({TopicKind.FEED, TopicKind.SHARD, TopicKind.ABOUT})  # everybody reads them


def tagged_hash(label: str, parts: Iterable[bytes]) -> bytes:
    """SHA-256 over ``chappe/v1/<label>`` and the parts, each preceded by its length in 4 bytes. 32 bytes."""
    name = _DOMAIN + label.encode()
    digest = hashlib.sha256(len(name).to_bytes(4, "big") + name)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def pair_topic(one: bytes, other: bytes) -> bytes:
    """Topic of the conversation of two accounts: the same whoever computes it."""
    return tagged_hash("topic/pair", sorted((one, other)))


def group_topic(creator: bytes, nonce: bytes) -> bytes:
    """Topic of a conversation that ``creator`` founds with a random ``nonce`` (16–32 bytes)."""
    return tagged_hash("topic/group", (creator, nonce))


def inbox_topic(account: bytes) -> bytes:
    """Topic of an account's inbox."""
    return tagged_hash("topic/inbox", (account,))


def slot_of(topic: bytes) -> int:
    """The slot of a topic, 0–255: its first byte, since a topic id is a hash already."""
    return topic[0]


def slot_inbox(account: bytes, slot: int) -> bytes:
    """Topic of a worker's inbox for one of its slots. It begins with the slot, so that it lies in it itself."""
    number = slot.to_bytes(1, "big")
    return number + tagged_hash("topic/slot", (account, number))[1:]


def self_topic(account: bytes) -> bytes:
    """Topic that an account's own devices share."""
    return tagged_hash("topic/self", (account,))


def feed_topic(account: bytes) -> bytes:
    """Topic of an account's public feed."""
    return tagged_hash("topic/feed", (account,))


def shard_of(feed: bytes) -> int:
    """The number of the shard log that points to the entries of a feed."""
    return feed[0] % FEED_SHARDS


def shard_topic(number: int) -> bytes:
    """Topic of a shard log."""
    return tagged_hash("topic/shard", (number.to_bytes(1, "big"),))


def entry_key(account: bytes, message_id: bytes) -> bytes:
    """What a public entry is known by everywhere: an id alone may be another author's, too. 32 bytes."""
    return tagged_hash("feed/entry", (account, message_id))


def profile_key(account: bytes) -> bytes:
    """What the profiles of an account are about; no message has the id of zeros."""
    return entry_key(account, bytes(ID_BYTES))


def followers_key(account: bytes) -> bytes:
    """What it is about when somebody follows an account; no message has the id of ones."""
    return entry_key(account, b"\xff" * ID_BYTES)


def lists_key(account: bytes) -> bytes:
    """What the lists that an account has made public are about; no message has the id of ones but for the last bit."""
    return entry_key(account, b"\xff" * (ID_BYTES - 1) + b"\xfe")


def about_topic(key: bytes) -> bytes:
    """Topic of what is said about the public entry of a key."""
    return tagged_hash("topic/about", (key,))


def link_slot(secret: bytes, step: int) -> bytes:
    """Locker in which a device that is being linked finds the parcel of a step; only who knows the secret finds it."""
    return tagged_hash("link", (secret, step.to_bytes(1, "big")))


def contact_hash(account: bytes, token: bytes) -> bytes:
    """What the relay knows of a token by which ``account`` recognises its contacts."""
    return tagged_hash("contact", (account, token))


def new_id(now_ms: int, entropy: Entropy) -> bytes:
    """A message id: 48 bits of Unix milliseconds, then 80 random bits, so ids sort by their time. 16 bytes."""
    return now_ms.to_bytes(6, "big") + entropy(ID_BYTES - 6)


def id_ms(message_id: bytes) -> int:
    """The Unix time in milliseconds at which a message id was made, by its maker's clock."""
    return int.from_bytes(message_id[:6], "big")
