"""Rows of the vault: what a client must still know after a crash. A table here is a ``place`` of the vault."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeVar

import msgspec

from clients.vault import Vault

T = TypeVar("T")

# Places
CONVERSATIONS: Final = "conversations"  # by topic
GROUPS: Final = "groups"  # by topic + slot: MLS epoch part
RATCHETS: Final = "ratchets"  # by topic + slot: MLS ratchet part, changes with each message
OUTBOX: Final = "outbox"  # by number
PACKAGES: Final = "packages"  # by key package ref
WELCOMES: Final = "welcomes"  # by number: not yet joined
BOXES: Final = "boxes"  # by number: opened, not yet dealt with
LISTS: Final = "lists"  # by account: newest verified device list
CONTACTS: Final = "contacts"  # by account
TOKENS: Final = "tokens"  # by account: what shows it that we are its contact
BLOCKS: Final = "blocks"  # by account
UPLOADS: Final = "uploads"  # by file id: begun, and not yet queued as a message
EVIDENCE: Final = "evidence"  # by topic + number: what proves a message to an outsider
EVIDENCE_LISTS: Final = "evidence-lists"  # by topic + account + version: signed device lists that it needs
MUTES: Final = "mutes"  # by topic
READS: Final = "reads"  # by topic: read marks
WORDS: Final = "words"  # by field and subject: the newest word in the self topic (``clients.words``)
FOLLOWS: Final = "follows"  # by account
HIDDEN: Final = "hidden-words"  # by their SHA-256
LISTED: Final = "feed-lists"  # by account and name of the list, hashed
META: Final = "meta"  # one row each: identity, inbox, and what a device owes its self topic


class Status(IntEnum):
    """Where a conversation stands for this device."""

    FOUNDING = 1  # our founding commit is not stored yet
    WAITING = 2  # somebody else founded it; its Welcome is on the way
    ACTIVE = 3
    LOCKED = 4  # a valid commit did not open here: waiting to be re-admitted
    REMOVED = 5
    LEFT = 6
    REQUEST = 7  # as applications see it: active, begun by a stranger, and not accepted yet


class Work(IntEnum):
    """What an outbox row publishes."""

    MESSAGE = 1
    COMMIT = 2
    BOX = 3  # a sealed box into an inbox
    LEAVE = 4
    POST = 5  # an entry of our own feed


class _Hidden:
    """A repr without keys and without what people say: rows end up in tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Conversation(msgspec.Struct):
    """Everything about a conversation but its MLS state."""

    topic: bytes
    kind: int
    status: int
    title: str = ""
    generation: int = 1
    cursor: int = 0  # offset of the last entry dealt with
    chain: bytes = b""  # chain hash there
    chain_verified: bool = True  # False after a GAP, until a member's `seen` passes it
    group: int = 1
    fence: int = 0
    first_fence: int = 0  # entries below it were sealed before we were in
    past_fence: int | None = None  # the one past epoch kept for entries of the grace period
    roster: dict[bytes, int] = {}  # account -> role, folded from access changes
    delivered: dict[bytes, int] = {}  # account -> highest offset it has acknowledged
    receipt: int = 0  # highest offset that we have acknowledged
    readmit_tries: int = 0
    readmit_at_ms: int = 0
    founder: bool = False
    left: tuple[bytes, ...] = ()  # accounts that left and are not yet put out of the group
    lost_at: int = 0  # where we fell out of the group (locked, removed): the last entry dealt with before
    heard_ms: int = 0  # time of the last entry, by the relay's clock
    archived: int = 0  # what an archive told us up to here is not told again
    request: bool = False  # begun by a stranger: nothing is answered until it is accepted
    kept_first: int = 0  # number of the oldest evidence that is kept
    kept_next: int = 0  # and of the next one
    recovering: bool = False  # restored from a backup, and no admin has started encryption anew since
    ahead: bool = False  # let in by a reset that we have not read yet
    gap_at: int = 0  # end of the last GAP: its hash counts once a member's `seen` lies behind it


class Attempt(msgspec.Struct, frozen=True, array_like=True):
    """Bytes that were sent under an id: how an echo is recognised."""

    group: int
    fence: int
    body_hash: bytes


class Blob(msgspec.Struct, frozen=True, array_like=True):
    """A sealed blob to upload before its commit."""

    hash: bytes
    data: bytes


class Addition(msgspec.Struct, frozen=True, array_like=True):
    """A device to add: its claimed key package, kept so that a claim is used again when its commit loses."""

    account: bytes
    device: bytes
    package: bytes


class Plan(msgspec.Struct, frozen=True):
    """What a commit is to achieve; it is made anew from this when another commit came first."""

    create_kind: int = 0  # TopicKind of a conversation to found
    create_nonce: bytes = b""
    create_peer: bytes = b""
    title: str = ""
    add: tuple[Addition, ...] = ()
    roles: tuple[tuple[bytes, int], ...] = ()  # of accounts that are new
    remove: tuple[bytes, ...] = ()  # accounts
    renew: tuple[tuple[bytes, bytes], ...] = ()  # (account, device) leaves to take out and add again
    fence: int = 0  # when this was planned: a renewal by somebody else after it makes ours moot
    drop: tuple[tuple[bytes, bytes], ...] = ()  # (account, device) leaves to take out; the account stays
    reset: bool = False  # a fresh group in place of one that was restored; ``roles`` are then all changes of roles


class Outgoing(_Hidden, msgspec.Struct):
    """A message or change on its way. Rows of a topic are sent in the order of their numbers."""

    number: int
    topic: bytes
    id: bytes
    work: int
    flags: int
    content: bytes = b""  # what to seal (MESSAGE)
    ttl: int = 0
    header: bytes = b""
    group: int = 0  # epoch under which `body` is sealed
    fence: int = 0
    body: bytes | None = None  # None: seal before sending
    bundle: bytes | None = None
    blobs: tuple[Blob, ...] = ()
    expect: int | None = None
    plan: Plan | None = None  # COMMIT
    attempts: tuple[Attempt, ...] = ()
    stored_offset: int | None = None  # OK came; the echo is awaited
    quiet: bool = False  # receipts and the like: no Stored event
    token: bytes | None = None  # BOX: shows its receiver that we are a contact


class Upload(_Hidden, msgspec.Struct, frozen=True):
    """A file on its way to the relay. Sealing it again gives the same chunks, so the relay knows which are up."""

    id: bytes
    key: bytes
    topic: bytes
    path: str
    size: int
    mtime_ns: int
    chunk: int
    name: str
    mime: str
    caption: str = ""
    thumbnail: bytes = b""
    blurhash: str = ""


class Package(_Hidden, msgspec.Struct, frozen=True):
    """A key package of ours and its private half."""

    ref: bytes
    public: bytes
    private: bytes
    made_ms: int
    last_resort: bool = False


class PendingWelcome(msgspec.Struct, frozen=True):
    """A Welcome that arrived and was not joined yet."""

    number: int
    body: bytes
    topic: bytes
    generation: int
    by: bytes
    stranger: bool = False  # the relay says that no token of a contact was shown


class PendingBox(_Hidden, msgspec.Struct, frozen=True):
    """A box that opened and was not dealt with yet. Its signature is ``device``'s."""

    number: int
    account: bytes
    device: bytes
    content: bytes


class Anchor(_Hidden, msgspec.Struct, frozen=True, array_like=True):
    """Private-use GroupInfo extension of a Welcome: where the log stands, and where the sealed tree is."""

    topic: bytes
    kind: int
    generation: int
    offset: int  # last entry that the committer had read
    hash: bytes  # chain hash there
    group: int
    fence: int  # after the commit
    roster: tuple[tuple[bytes, int], ...]
    title: str
    tree_hash: bytes  # blob
    tree_key: bytes
    left: tuple[bytes, ...] = ()  # as in Conversation


ANCHOR_EXTENSION: Final = 0xF0C1  # GroupInfo extension type in the private-use range (RFC 9420 §17.3)


class Identity(_Hidden, msgspec.Struct):
    """Who we are. The root seed is here on primary devices."""

    account: bytes
    root_seed: bytes | None
    device_seed: bytes
    inbox_private: bytes
    inbox_public: bytes
    signed_list: bytes
    handle: str | None = None
    recovery_seed: bytes | None = None
    contact_token: bytes = b""  # what we give to contacts
    invite_tokens: tuple[bytes, ...] = ()  # handed out beside the encryption
    published_tokens: tuple[bytes, ...] = ()  # of which the relay has the hashes
    recovery_key: bytes | None = None  # seals what the recovery code opens; here once the code was shown


class InboxCursor(msgspec.Struct):
    """Where we are in our inbox."""

    generation: int = 1
    cursor: int = 0
    chain: bytes = b""


class Contact(msgspec.Struct):
    """Somebody we know: the local name, and whether the safety number was compared."""

    account: bytes
    name: str
    verified: bool = False
    changed: bool = False  # was verified, and its keys were recovered since: nothing is sent until that is settled


class KnownList(msgspec.Struct, frozen=True):
    """The newest device list of an account that was verified, as signed."""

    account: bytes
    signed: bytes


class Token(msgspec.Struct, frozen=True):
    """What shows an account that we are its contact. ``given``: our own token as it was last sent to it."""

    account: bytes
    token: bytes = b""
    given: bytes = b""


class Blocked(msgspec.Struct, frozen=True):
    """Somebody of whom nothing is shown, and who is told nothing."""

    account: bytes


class Evidence(_Hidden, msgspec.Struct, frozen=True, array_like=True):
    """What proves a message: its signature, and all that the signature covers but what is in its event."""

    number: int
    seq: int  # of the event
    offset: int
    generation: int
    flags: int
    ttl: int
    header: bytes
    group: int
    fence: int
    leaf: int
    padded: int  # size of the padded content
    signature: bytes
    context: bytes
    account: bytes
    version: int  # of the sender's device list that is kept with it; 0: none was known
    kept_ms: int


class Mute(msgspec.Struct, frozen=True):
    """A conversation whose messages are no news until some time (Unix ms). 0: not muted any more."""

    topic: bytes
    until_ms: int


class ReadMark(msgspec.Struct, frozen=True):
    """Up to where a conversation was shown to a person, on whatever device."""

    topic: bytes
    generation: int
    offset: int


class Following(msgspec.Struct, frozen=True):
    """Somebody whose feed we read."""

    account: bytes


class HiddenWord(msgspec.Struct, frozen=True):
    """Posts with this word are not shown."""

    word: str


class Listed(msgspec.Struct, frozen=True):
    """Somebody who is on one of our lists of authors."""

    name: str
    account: bytes


class SelfDuty(msgspec.Struct):
    """What this device owes its self topic. ``lacks``: it may have missed words and has to ask for all of them."""

    lacks: bool = False
    asked: bool = False  # and has done so; the answer is awaited
    question: bool = False  # another device has asked, and nobody has answered yet


def rows(vault: Vault, place: str, type_: type[T]) -> list[T]:
    """All rows of a table, in no particular order. Reads the database. Raises ``VaultError``."""
    return [msgspec.msgpack.decode(value, type=type_) for value in vault.scan(place)]
