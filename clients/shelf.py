"""Everything a client knows, in memory, with the journal that makes changes durable. No behaviour beyond that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

import msgspec

from clients import records as R
from clients.events import AnyEvent, AnyNotice
from clients.groups import Groups
from clients.journal import Journal
from clients.vault import Vault
from protocol.identity import DeviceList, SigningKey, open_signed
from protocol.ids import Entropy, TopicKind, inbox_topic, new_id, pair_topic
from protocol.position import SeenWindow

T = TypeVar("T")


def topic_name(number: int) -> bytes:
    """Row name of a numbered record."""
    return number.to_bytes(8, "big")


def word_key(word: str) -> bytes:
    """Row name of a hidden word."""
    return hashlib.sha256(word.encode()).digest()


def list_key(name: str, account: bytes) -> bytes:
    """Row name of a place on a list of authors."""
    return hashlib.sha256(account + name.encode()).digest()


class Shelf:
    """State of one client. Change it, then call the matching ``save_…``."""

    def __init__(
        self,
        vault: Vault,
        publish: Callable[[list[AnyEvent | AnyNotice]], None],
        clock_ms: Callable[[], int],
        entropy: Entropy,
    ) -> None:
        self.vault = vault
        self.journal = Journal(vault, publish)
        self.groups = Groups(vault, self.journal)
        self.clock_ms = clock_ms
        self.entropy = entropy
        identity = vault.get(R.META, b"identity")
        if identity is None:
            raise LookupError("this vault has no identity yet")
        self.identity = msgspec.msgpack.decode(identity, type=R.Identity)
        self.device = SigningKey(self.identity.device_seed)
        self.inbox_topic = inbox_topic(self.identity.account)
        self.inbox = msgspec.msgpack.decode(vault.get(R.META, b"inbox") or b"\x80", type=R.InboxCursor)
        self.conversations = {c.topic: c for c in self._all(R.CONVERSATIONS, R.Conversation)}
        self.outgoing = {o.number: o for o in sorted(self._all(R.OUTBOX, R.Outgoing), key=lambda o: o.number)}
        self.packages = {p.ref: p for p in self._all(R.PACKAGES, R.Package)}
        self.welcomes = {w.number: w for w in self._all(R.WELCOMES, R.PendingWelcome)}
        self.boxes = {b.number: b for b in self._all(R.BOXES, R.PendingBox)}
        self.contacts = {c.account: c for c in self._all(R.CONTACTS, R.Contact)}
        self._signed_lists = {k.account: k.signed for k in self._all(R.LISTS, R.KnownList)}
        self.lists = {account: open_signed(signed) for account, signed in self._signed_lists.items()}
        self.tokens = {t.account: t for t in self._all(R.TOKENS, R.Token)}
        self.blocked = {b.account for b in self._all(R.BLOCKS, R.Blocked)}
        self.follows = {f.account for f in self._all(R.FOLLOWS, R.Following)}
        hidden = [h.word for h in self._all(R.HIDDEN, R.HiddenWord)]
        self.hidden = {word_key(word): word for word in hidden}
        listed = [(one.name, one.account) for one in self._all(R.LISTED, R.Listed)]
        self.listed = {list_key(name, account): (name, account) for name, account in listed}
        self.mutes = {m.topic: m.until_ms for m in self._all(R.MUTES, R.Mute)}
        self.reads = {m.topic: (m.generation, m.offset) for m in self._all(R.READS, R.ReadMark)}
        self.touched: Callable[[], None] = lambda: None  # something that own devices share has changed
        self.windows: dict[bytes, SeenWindow] = {}
        self.doubts: dict[tuple[bytes, bytes], str] = {}
        numbers = [*self.outgoing, *self.welcomes, *self.boxes, 0]
        self._number = max(numbers)

    def _all(self, place: str, type_: type[T]) -> list[T]:
        return R.rows(self.vault, place, type_)

    # -- small helpers -------------------------------------------------------------------------------------------------
    @property
    def account(self) -> bytes:
        """Our account."""
        return self.identity.account

    def next_number(self) -> int:
        """A number above all that are in use: rows sort by it."""
        self._number += 1
        return self._number

    def new_id(self) -> bytes:
        """A message id of now."""
        return new_id(self.clock_ms(), self.entropy)

    def window(self, talk: R.Conversation) -> SeenWindow:
        """The chain values of a conversation that are remembered: after a start, where we are."""
        found = self.windows.get(talk.topic)
        if found is None:
            found = self.windows[talk.topic] = SeenWindow()
            if talk.cursor:
                found.add(talk.generation, talk.cursor, talk.chain)
        return found

    def token_of(self, account: bytes) -> bytes | None:
        """What shows an account that we are its contact, if it gave us something."""
        known = self.tokens.get(account)
        return known.token if known is not None and known.token else None

    def signed_list(self, account: bytes) -> bytes | None:
        """The newest verified device list of an account, as it was signed."""
        return self._signed_lists.get(account)

    def peer_of(self, talk: R.Conversation) -> bytes | None:
        """The other account of a pair."""
        if talk.kind != TopicKind.PAIR:
            return None
        candidates = (*talk.roster, *self.contacts, *self.lists)
        return next((a for a in candidates if pair_topic(self.account, a) == talk.topic), None)

    def uploads(self) -> list[R.Upload]:
        """Files that were begun and are not queued yet. Reads the vault."""
        return self._all(R.UPLOADS, R.Upload)

    # -- saving --------------------------------------------------------------------------------------------------------
    def save(self, talk: R.Conversation) -> None:
        """Write a conversation with the next transaction."""
        self.conversations[talk.topic] = talk
        self.journal.put_late(
            ("talk", talk.topic), lambda: self.journal.put(R.CONVERSATIONS, talk.topic, self.conversations[talk.topic])
        )

    def save_outgoing(self, row: R.Outgoing) -> None:
        """Write an outbox row."""
        self.outgoing[row.number] = row
        self.journal.put(R.OUTBOX, topic_name(row.number), row)

    def drop_outgoing(self, row: R.Outgoing) -> None:
        """Delete an outbox row."""
        self.outgoing.pop(row.number, None)
        self.journal.put(R.OUTBOX, topic_name(row.number), None)

    def save_inbox(self) -> None:
        """Write the inbox position."""
        self.journal.put_late("inbox", lambda: self.journal.put(R.META, b"inbox", self.inbox))

    def save_identity(self) -> None:
        """Write the identity."""
        self.journal.put(R.META, b"identity", self.identity)
        self.touched()

    def save_list(self, devices: DeviceList, signed: bytes) -> None:
        """Remember a verified device list."""
        self.lists[devices.account], self._signed_lists[devices.account] = devices, signed
        self.journal.put(R.LISTS, devices.account, R.KnownList(devices.account, signed))

    def save_contact(self, contact: R.Contact) -> None:
        """Write a contact."""
        self.contacts[contact.account] = contact
        self.journal.put(R.CONTACTS, contact.account, contact)
        self.touched()

    def drop_contact(self, account: bytes) -> None:
        """Somebody is no contact any more."""
        self.contacts.pop(account, None)
        self.journal.put(R.CONTACTS, account, None)
        self.touched()

    def is_silent(self, talk: R.Conversation) -> bool:
        """Whether nothing of ours may leave in a conversation: a request, or one with somebody blocked."""
        return talk.request or (bool(self.blocked) and self.peer_of(talk) in self.blocked)

    def save_token(self, token: R.Token) -> None:
        """Write what shows an account that we are its contact."""
        self.tokens[token.account] = token
        self.journal.put(R.TOKENS, token.account, token)
        self.touched()

    def save_blocked(self, account: bytes, *, blocked: bool) -> None:
        """Write whether somebody is blocked."""
        (self.blocked.add if blocked else self.blocked.discard)(account)
        self.journal.put(R.BLOCKS, account, R.Blocked(account) if blocked else None)
        self.touched()

    def save_follow(self, account: bytes, *, follows: bool) -> None:
        """Write whether we read somebody's feed."""
        (self.follows.add if follows else self.follows.discard)(account)
        self.journal.put(R.FOLLOWS, account, R.Following(account) if follows else None)
        self.touched()

    def save_hidden(self, key: bytes, word: str | None) -> None:
        """Write whether posts with a word are hidden; None: not any more."""
        self.hidden.pop(key, None)
        if word is not None:
            self.hidden[key] = word
        self.journal.put(R.HIDDEN, key, None if word is None else R.HiddenWord(word))
        self.touched()

    def save_listed(self, key: bytes, name: str | None, account: bytes) -> None:
        """Write that somebody is on a list of authors; without a name: not any more."""
        self.listed.pop(key, None)
        if name is not None:
            self.listed[key] = (name, account)
        self.journal.put(R.LISTED, key, None if name is None else R.Listed(name, account))
        self.touched()

    def save_mute(self, topic: bytes, until_ms: int) -> None:
        """Write until when a conversation is muted; 0: not."""
        self.mutes[topic] = until_ms
        self.journal.put(R.MUTES, topic, R.Mute(topic, until_ms))
        self.touched()

    def is_muted(self, topic: bytes) -> bool:
        """Whether messages of a conversation are no news now."""
        return self.mutes.get(topic, 0) > self.clock_ms()

    def save_read(self, topic: bytes, generation: int, offset: int) -> None:
        """Write up to where a conversation was read; a mark never goes back."""
        if (generation, offset) > self.reads.get(topic, (0, 0)):
            self.reads[topic] = (generation, offset)
            self.journal.put(R.READS, topic, R.ReadMark(topic, generation, offset))
            self.touched()

    def save_package(self, package: R.Package) -> None:
        """Write a key package of ours."""
        self.packages[package.ref] = package
        self.journal.put(R.PACKAGES, package.ref, package)

    def drop_package(self, ref: bytes) -> None:
        """A one-time key package was used: its private half must go."""
        self.packages.pop(ref, None)
        self.journal.put(R.PACKAGES, ref, None)

    def save_welcome(self, welcome: R.PendingWelcome) -> None:
        """Keep a Welcome until it is joined."""
        self.welcomes[welcome.number] = welcome
        self.journal.put(R.WELCOMES, topic_name(welcome.number), welcome)

    def drop_welcome(self, welcome: R.PendingWelcome) -> None:
        """A Welcome was joined, or never can be."""
        self.welcomes.pop(welcome.number, None)
        self.journal.put(R.WELCOMES, topic_name(welcome.number), None)

    def save_box(self, box: R.PendingBox) -> None:
        """Keep an opened box until it is dealt with."""
        self.boxes[box.number] = box
        self.journal.put(R.BOXES, topic_name(box.number), box)

    def drop_box(self, box: R.PendingBox) -> None:
        """A box was dealt with."""
        self.boxes.pop(box.number, None)
        self.journal.put(R.BOXES, topic_name(box.number), None)
