"""The self topic: a group of the account's own devices, in which they tell each other what a person expects everywhere.

What the shelf holds of shared things (contacts, checks, tokens, blocks, mutes, read marks, whom we follow, lists) is
compared with the words of the topic (``words``); what differs is said. So nothing has to remember to speak: a change
made offline, or before the topic was there, is said when it can be. A word of the log goes into the shelf unless a
change of ours waits to be said, which comes later in the log and therefore counts.

Who joins, or may have missed something, asks; the others repeat all words with the places where they were first said,
one device at a time until one has done it. Nothing of the topic is told to the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Final

import msgspec
import trio

from clients import records as R
from clients.connection import Link, LinkDown, Refusal
from clients.contacts import Contacts
from clients.directory import CannotAdd, Directory
from clients.events import AnyEvent, Joined, Missing, Received, Unreadable
from clients.outbox import Outbox
from clients.records import Status, Work
from clients.shelf import Shelf
from clients.words import (
    BLOCKS,
    CHANGED,
    CHECKED,
    CONTACTS,
    FOLLOWS,
    HIDDEN,
    LISTS,
    MUTES,
    NOT_CHECKED,
    OWN,
    READS,
    TOKENS,
    VERIFIED,
    Key,
    Value,
    Word,
    beats,
    bodies,
    normal,
    unsaid,
    words_of,
    yields,
)
from protocol import limits as L
from protocol.errors import RemoteProtocolError
from protocol.frames import Role
from protocol.identity import open_signed
from protocol.ids import TopicKind, self_topic
from protocol.messages import Body, parse
from protocol.messages.sync import Ask, Words

RETRY_S: Final = 30.0  # until something that the relay refused, or a device without key packages, is tried again
TURN_S: Final = 2.0  # between one device's turn to answer and the next: a few round trips
FOUND_TURN_S: Final = 10.0  # and to found the topic: whoever links a device does it within a second or two


class SelfTopic:
    """What one device does in the topic of its account's devices."""

    def __init__(self, shelf: Shelf, directory: Directory, outbox: Outbox, contacts: Contacts) -> None:
        self._shelf = shelf
        self._directory = directory
        self._outbox = outbox
        self._contacts = contacts
        self.topic = self_topic(shelf.account)
        self.say: Callable[[R.Conversation, Body], object] = lambda talk, body: None
        self.plan: Callable[[R.Conversation, R.Plan], object] = lambda talk, plan: None
        self._wake = trio.Event()
        self._noticed: float | None = None  # when we first lacked the topic, by trio's clock
        self._question = 0.0  # when somebody asked for everything, or when we heard of it
        self._reads_at = -inf  # when read marks were said last
        self.words: dict[Key, Word] = {word.key: _whole(word) for word in R.rows(shelf.vault, R.WORDS, Word)}
        self._duty = msgspec.msgpack.decode(shelf.vault.get(R.META, b"self") or b"\x80", type=R.SelfDuty)
        shelf.journal.divert(self.topic, self.event)
        shelf.touched = self.nudge
        contacts.may_begin = lambda: len(self._devices()) < 2 or self.is_shared

    @property
    def talk(self) -> R.Conversation | None:
        """The topic, as far as this device knows it."""
        return self._shelf.conversations.get(self.topic)

    @property
    def is_shared(self) -> bool:
        """Whether this device knows what its others know: it is in the topic and has heard all of it."""
        talk = self.talk
        return talk is not None and talk.status == Status.ACTIVE and not self._duty.lacks

    def nudge(self) -> None:
        """Look again: something shared has changed, or there is news in the topic."""
        self._wake.set()

    def _devices(self) -> tuple[bytes, ...]:
        return tuple(device.key for device in open_signed(self._shelf.identity.signed_list).devices)

    def _rank(self) -> int:
        devices, mine = self._devices(), self._shelf.device.public
        return devices.index(mine) if mine in devices else L.DEVICES_MAX

    # -- what is so here -----------------------------------------------------------------------------------------------
    def here(self, key: Key, known: Value | None) -> Value | None:
        """What this device holds about a key; None: it has no opinion. ``known``: what was said about it last."""
        shelf, (field, subject) = self._shelf, key
        if field in (CONTACTS, VERIFIED):
            contact = shelf.contacts.get(subject)
            if contact is None:
                return None
            if field == VERIFIED:
                return self._check(contact, known)
            return (contact.name,) if len(contact.name) <= L.SYNC_NAME_CHARS_MAX else known
        if field == TOKENS:
            token = shelf.token_of(subject)
            return None if token is None else (token,)
        if field == BLOCKS:
            return (True,) if subject in shelf.blocked else None
        if field == MUTES:
            return (shelf.mutes[subject],) if subject in shelf.mutes else None
        if field == READS:
            return shelf.reads.get(subject)
        if field == FOLLOWS:
            return (True,) if subject in shelf.follows else None
        if field == HIDDEN:
            return (shelf.hidden[subject],) if subject in shelf.hidden else None
        if field == LISTS:
            return shelf.listed.get(subject)
        own = shelf.identity
        return (own.contact_token, own.invite_tokens) if own.contact_token and subject == own.account else None

    def _keys(self) -> Iterator[Key]:
        """Whatever this device may have an opinion about, and what was said before."""
        shelf = self._shelf
        subjects = {
            OWN: [shelf.account], CONTACTS: shelf.contacts, VERIFIED: shelf.contacts, TOKENS: shelf.tokens,
            BLOCKS: shelf.blocked, MUTES: shelf.mutes, READS: shelf.reads, FOLLOWS: shelf.follows,
            HIDDEN: shelf.hidden, LISTS: shelf.listed,
        }  # fmt: skip
        here = {(field, subject): None for field, some in subjects.items() for subject in some}
        yield from here
        yield from (key for key in self.words if key not in here)

    def _check(self, contact: R.Contact, known: Value | None) -> Value | None:
        state = CHANGED if contact.changed else CHECKED if contact.verified else NOT_CHECKED
        if known is None and state == NOT_CHECKED:
            return None  # so is everybody at first: nothing to say, and no word against what others say
        if known is not None and known[0] == state:
            return known
        devices = self._directory.known(contact.account)
        return state, max(0 if devices is None else devices.version, 0 if known is None else known[1])

    def _on_the_way(self) -> dict[Key, Value]:
        """What we have said and the log has not brought back yet."""
        found: dict[Key, Value] = {}
        for row in self._outbox.lane(self.topic).rows:
            body = parse(row.content).body if row.work == Work.MESSAGE else None
            if isinstance(body, Words) and not body.said:
                found.update({word.key: word.value for word in words_of(body, (0, 0))})  # type: ignore[arg-type]
        return found

    def everything(self) -> tuple[Word, ...]:
        """All that a new device is to take for known: what is so here, with its place in the log where it has one."""
        found: list[Word] = []
        for key in self._keys():
            word = self.words.get(key)
            value = self.here(key, None if word is None else word.value)
            if value is not None:
                found.append(word if word is not None and word.value == value else Word(*key, value))
        return tuple(found)

    # -- what the log says ---------------------------------------------------------------------------------------------
    def event(self, event: AnyEvent) -> None:
        """Something happened in the topic; called in the batch in which it did."""
        talk = self.talk
        if isinstance(event, Received) and talk is not None:
            try:
                body = parse(event.content).body
            except RemoteProtocolError:
                return
            if isinstance(body, Ask) and not event.mine:
                self._question = trio.current_time()
                self._owe(lacks=self._duty.lacks, asked=self._duty.asked, question=True)
            elif isinstance(body, Words):
                self._heard(body, (talk.generation, event.offset), mine=event.mine)
        elif isinstance(event, Missing | Unreadable) or (isinstance(event, Joined) and not self._founded(event)):
            self._owe(lacks=True, question=self._duty.question)
        self.nudge()

    def _founded(self, event: Joined) -> bool:
        return event.by == self._shelf.account and not event.again and bool(self.talk and self.talk.founder)

    def _owe(self, *, lacks: bool = False, asked: bool = False, question: bool = False) -> None:
        self._duty = R.SelfDuty(lacks, asked, question)
        self._shelf.journal.put(R.META, b"self", self._duty)

    def _heard(self, body: Words, at: tuple[int, int], *, mine: bool) -> None:
        if body.said:
            self._owe(lacks=self._duty.lacks and mine, asked=self._duty.asked and mine)
            self._contacts.nudge()
        on_the_way = self._on_the_way()
        for word in words_of(body, at):  # type: ignore[arg-type]
            self._hear(word, on_the_way)

    def _hear(self, word: Word, on_the_way: dict[Key, Value]) -> None:
        known = self.words.get(word.key)
        if not beats(word, known):
            return
        before = None if known is None else known.value
        ours = on_the_way.get(word.key) or unsaid(word.field, self.here(word.key, before), before)
        self.words[word.key] = word
        self._shelf.journal.put(R.WORDS, word.row, word)
        if ours is None or yields(ours, word):
            self._project(word)

    def _project(self, word: Word) -> None:
        """Make the shelf hold what a word says."""
        shelf, value, subject = self._shelf, word.value, word.subject
        if word.field == CONTACTS:
            self._name(subject, value[0])
        elif word.field == VERIFIED and subject in shelf.contacts:
            self._checked(shelf.contacts[subject], value[0])
        elif word.field == TOKENS:
            known = shelf.tokens.get(subject)
            shelf.save_token(R.Token(subject, value[0], b"" if known is None else known.given))
        elif word.field == BLOCKS:
            shelf.save_blocked(subject, blocked=value[0])
        elif word.field == MUTES:
            shelf.save_mute(subject, value[0])
        elif word.field == READS:
            shelf.save_read(subject, *value)
        elif word.field == FOLLOWS:
            shelf.save_follow(subject, follows=value[0])
        elif word.field == HIDDEN:
            shelf.save_hidden(subject, value[0])
        elif word.field == LISTS:
            shelf.save_listed(subject, *value)
        elif word.field == OWN and subject == shelf.account:
            shelf.identity.contact_token, shelf.identity.invite_tokens = value
            shelf.save_identity()
            self._contacts.nudge()

    def _name(self, account: bytes, name: str | None) -> None:
        shelf = self._shelf
        if name is None:
            shelf.drop_contact(account)
            return
        contact = shelf.contacts.get(account)
        if contact is None:
            checked = self.words.get((VERIFIED, account))
            self._checked(R.Contact(account, name), NOT_CHECKED if checked is None else checked.value[0])
        else:  # what is known here about its keys stays: it may be newer than any word
            contact.name = name
            shelf.save_contact(contact)
        self._contacts.came(account)

    def _checked(self, contact: R.Contact, state: int) -> None:
        contact.verified, contact.changed = state == CHECKED, state == CHANGED
        self._shelf.save_contact(contact)

    # -- the loop ------------------------------------------------------------------------------------------------------
    async def run(self, link: Link) -> None:
        """Look after the topic while a connection lasts."""
        self._question = trio.current_time()
        while True:
            self._wake = trio.Event()
            try:
                wait_s = await self._round(link)
            except (Refusal, RemoteProtocolError, CannotAdd):
                wait_s = RETRY_S
            except LinkDown:
                return
            with trio.move_on_after(wait_s):
                await self._wake.wait()

    async def _round(self, link: Link) -> float:
        """Do what is due; seconds until more is."""
        talk = self.talk
        if talk is None or (talk.status == Status.REMOVED and not talk.cursor):
            return await self._found(link)
        if talk.status != Status.ACTIVE:
            return inf
        self._noticed = None
        if self._duty.lacks and not self._duty.asked and len(self._devices()) > 1:
            self._owe(lacks=True, asked=True, question=self._duty.question)
            self.say(talk, Ask())
        return min(self._answer(talk), self._say_news(talk))

    async def _found(self, link: Link) -> float:
        """Found the topic with all devices that can be added, once there are two and it is our turn."""
        mine = self._shelf.device.public
        others = tuple(device for device in self._devices() if device != mine)
        if not others:
            return inf
        now = trio.current_time()
        self._noticed = now if self._noticed is None else self._noticed
        wait_s = self._noticed + self._rank() * FOUND_TURN_S - now
        if wait_s > 0:
            return wait_s
        additions = await self._directory.claim(link, [self._shelf.account], others)
        if self.talk is None or self.talk.status == Status.REMOVED:  # a Welcome may have come meanwhile
            talk = R.Conversation(self.topic, TopicKind.SELF, Status.FOUNDING, founder=True)
            talk.roster = {self._shelf.account: Role.OWNER}
            self._shelf.save(talk)
            self.plan(talk, R.Plan(TopicKind.SELF, add=additions))
        return inf

    def _answer(self, talk: R.Conversation) -> float:
        """Repeat everything to whoever asked, unless another one does it first."""
        if not self._duty.question or not self.words:
            return inf
        wait_s = self._question + self._rank() * TURN_S - trio.current_time()
        if wait_s > 0:
            return wait_s
        self._owe(lacks=self._duty.lacks, asked=self._duty.asked)
        for body in bodies(self.words.values(), again=True):
            self.say(talk, body)
        return inf

    def _say_news(self, talk: R.Conversation) -> float:
        """Say what is so here and was not said; read marks not too often."""
        known = {key: word.value for key, word in self.words.items()} | self._on_the_way()
        found = ((key, unsaid(key[0], self.here(key, known.get(key)), known.get(key))) for key in self._keys())
        news = [Word(*key, value) for key, value in found if value is not None]
        wait_s = self._reads_at + L.READ_MARKS_MS / 1000 - trio.current_time()
        late = [word for word in news if word.field == READS]
        if late and wait_s > 0:
            news = [word for word in news if word.field != READS]
        elif late:
            self._reads_at = trio.current_time()
        for body in bodies(news):
            self.say(talk, body)
        return wait_s if late and wait_s > 0 else inf


def _whole(word: Word) -> Word:
    """A word as it was before it went into the vault."""
    return msgspec.structs.replace(word, value=normal(word.value))
