"""A run of appends inside one transaction.

The facts of all are read at once, each is decided on facts that evolve, and what is accepted is written as sets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from protocol.ids import TopicKind, inbox_topic, slot_inbox, slot_of
from protocol.limits import DEVICE_UNSEEN_MS_MAX
from storage import sql
from storage.base import Append, Appended, Entry, Outcome, WelcomePost
from storage.facts import (
    INBOX_ENTRIES,
    LEFT,
    AccountFacts,
    Facts,
    InboxFacts,
    Member,
    Plan,
    Stored,
    Target,
    TopicFacts,
)
from storage.flags import STRANGER
from storage.inboxes import Visitors
from storage.ordering import decide
from storage.slot_facts import leases, serving


class Device(NamedTuple):
    """A device, and what of its account an append is judged by."""

    n: int
    account_n: int
    account: bytes
    login: int
    listed: bool
    expires_ms: int


TOPICS = (
    "SELECT t.n, t.topic, t.kind, a.account, t.generation, t.head, t.head_hash, t.grp, t.fence, t.floor, t.ts,"
    " t.committed_ms, t.strict, t.reserved_by, t.reserved_until_ms, t.recovering, t.owner"
    " FROM topics t LEFT JOIN accounts a ON a.n = t.owner WHERE t.topic IN ({})"
)


def run_appends(connection: Connection, intents: Sequence[Append], now_ms: int, spacing_ms: int) -> list[Outcome]:
    """The outcome of each intent, in order; all accepted ones are written when this returns."""
    outcomes: list[Outcome] = []
    for run in _runs(intents):
        outcomes += AppendBatch(connection, now_ms, spacing_ms).run(run)
    return outcomes


def _runs(intents: Sequence[Append]) -> Iterator[Sequence[Append]]:
    """Cut between an erasure, which may free a blob, and a later entry that may name it: the one fact that is known
    only after writing."""
    start, erased = 0, False
    for n, intent in enumerate(intents):
        if erased and intent.blobs:
            yield intents[start:n]
            start, erased = n, False
        erased = erased or bool(intent.erases)
    yield intents[start:]


class AppendBatch:
    """One use: ``run``. The connection is inside a transaction that the caller commits or rolls back."""

    def __init__(self, connection: Connection, now_ms: int, spacing_ms: int) -> None:
        self._connection = connection
        self._now_ms = now_ms
        self._spacing_ms = spacing_ms
        # Facts, as the plans so far have left them.
        self._topics: dict[bytes, TopicFacts] = {}
        self._members: defaultdict[bytes, dict[bytes, Member]] = defaultdict(dict)
        self._stored: dict[tuple[bytes, bytes, bytes], Stored] = {}
        self._targets: dict[tuple[bytes, int], Target] = {}
        # Facts that no append changes.
        self._devices: dict[bytes, Device] = {}
        self._accounts: dict[bytes, AccountFacts] = {}
        self._read: dict[bytes, int] = {}  # inbox → offset that all its devices have passed
        self._inbox_max: dict[bytes, int] = {}  # inbox → bound of its own
        self._blobs: dict[bytes, int] = {}
        self._serving: set[bytes] = set()  # workers: their Welcomes go into the inbox of the topic's slot
        self._leases: dict[tuple[bytes, int], int] = {}  # (account, slot) → token in force
        self._visitors = Visitors(connection, ())
        # Short keys.
        self._topic_n: dict[bytes, int] = {}
        self._account_n: dict[bytes, int] = {}
        # What is to be written.
        self._plans: list[tuple[Append, Plan]] = []

    def run(self, intents: Sequence[Append]) -> list[Outcome]:
        """The outcome of each intent, in order; all accepted ones are written when this returns."""
        self._load(intents)
        outcomes = [self._decide(intent) for intent in intents]
        if self._plans:
            self._write()
        return outcomes

    # -- facts ---------------------------------------------------------------------------------------------------------
    def _load(self, intents: Sequence[Append]) -> None:
        self._serving = serving(self._connection, intents)
        inboxes = {self._home(intent, welcome) for intent in intents for welcome in intent.welcomes}
        self._leases = leases(self._connection, intents)
        pointed = {topic for intent in intents for topic in intent.pointers}
        self._load_topics({intent.topic for intent in intents} | inboxes | pointed)
        self._load_devices({intent.device for intent in intents})
        self._load_stored(intents)
        self._load_members(intents)
        changing = [intent for intent in intents if intent.access or intent.create or intent.welcomes]
        if changing:
            self._load_accounts(changing)
        posted = {intent.topic for intent in intents} | inboxes
        self._load_read(topic for topic in posted if topic in self._topics)
        if any(self._topics[topic].kind is TopicKind.INBOX for topic in posted if topic in self._topics):
            self._visitors = Visitors(self._connection, self._posts(intents))
        erasing = [intent for intent in intents if intent.erases and intent.topic in self._topics]
        if erasing:
            self._load_targets(erasing)
        hashes = {value for intent in intents for value in intent.blobs}
        if hashes:
            rows = sql.select_in(self._connection, "SELECT hash, n FROM blobs WHERE hash IN ({})", hashes)
            self._blobs = {row[0]: row[1] for row in rows}

    def _home(self, intent: Append, welcome: WelcomePost) -> bytes:
        serves = welcome.account in self._serving
        return slot_inbox(welcome.account, slot_of(intent.topic)) if serves else inbox_topic(welcome.account)

    def _posts(self, intents: Sequence[Append]) -> Iterator[tuple[bytes, bytes | None, Append]]:
        for intent in intents:
            topic = self._topics.get(intent.topic)
            if topic is not None and topic.kind is TopicKind.INBOX:
                yield topic.owner, intent.token, intent
            for welcome in intent.welcomes:
                yield welcome.account, welcome.token, intent

    def _load_topics(self, keys: Iterable[bytes]) -> None:
        for row in sql.select_in(self._connection, TOPICS, list(keys)):
            topic = topic_facts(row)
            self._topics[topic.topic] = topic
            self._topic_n[topic.topic] = row[0]
            if topic.owner:
                self._account_n[topic.owner] = row[-1]

    def _load_devices(self, keys: Iterable[bytes]) -> None:
        query = (
            "SELECT d.device, d.n, d.account, a.account, d.login, d.place >= 0, a.expires_ms"
            " FROM devices d JOIN accounts a ON a.n = d.account WHERE d.device IN ({})"
        )
        rows = sql.select_in(self._connection, query, list(keys))
        for device, n, account_n, account, login, listed, expires_ms in rows:
            self._devices[device] = Device(n, account_n, account, login, bool(listed), expires_ms)
            self._account_n[account] = account_n

    def _load_stored(self, intents: Sequence[Append]) -> None:
        wanted: dict[tuple[int, int, bytes], tuple[bytes, bytes, bytes]] = {}
        for intent in intents:
            device = self._devices.get(intent.device)
            if device is None:
                continue
            keys = [(intent.topic, intent.id)]
            if intent.after is not None:
                keys.append((intent.topic, intent.after))
            keys += [(self._home(intent, welcome), intent.id) for welcome in intent.welcomes]
            for topic, id_ in keys:
                n = self._topic_n.get(topic)
                if n is not None:
                    wanted[n, device.n, id_] = (topic, intent.device, id_)
        query = (
            "SELECT e.topic, e.device, e.id, e.generation, e.offset, e.ts, e.digest FROM {}"
            " CROSS JOIN entries e ON e.topic = k.column1 AND e.device = k.column2 AND e.id = k.column3"
        )
        for topic_n, device_n, id_, *stored in sql.select_joined(self._connection, query, wanted):
            self._stored[wanted[topic_n, device_n, id_]] = Stored(*stored)

    def _load_members(self, intents: Sequence[Append]) -> None:
        """The authors' rows; the whole list where it may change."""
        whole = {i.topic for i in intents if (i.access or i.welcomes) and i.topic in self._topic_n}
        names = {self._topic_n[topic]: topic for topic in self._topic_n}
        columns = "SELECT m.topic, a.account, m.account, m.role, m.since, m.joined FROM"
        some = "{} CROSS JOIN members m ON m.topic = k.column1 AND m.account = k.column2"
        names_of = "CROSS JOIN accounts a ON a.n = m.account"
        keys = {
            (self._topic_n[intent.topic], self._devices[intent.device].account_n)
            for intent in intents
            if intent.topic not in whole and intent.topic in self._topic_n and intent.device in self._devices
        }
        rows = sql.select_joined(self._connection, f"{columns} {some} {names_of}", keys)
        numbers = [self._topic_n[topic] for topic in whole]
        all_of = f"{columns} members m {names_of} WHERE m.topic IN ({{}})"
        rows += sql.select_in(self._connection, all_of, numbers)
        for topic_n, account, account_n, role, since, joined in rows:
            self._members[names[topic_n]][account] = Member(account, role, since, joined)
            self._account_n[account] = account_n

    def _load_accounts(self, changing: Sequence[Append]) -> None:
        wanted: set[bytes] = set()
        for intent in changing:
            wanted.add(intent.account)
            wanted.update(self._members[intent.topic])
            wanted.update(welcome.account for welcome in intent.welcomes)
            if intent.access is not None:
                wanted.update(account for account, _ in intent.access.added)
                wanted.update(intent.access.removed)
        query = (
            "SELECT a.account, a.n, a.expires_ms,"
            " (SELECT count(*) FROM devices d WHERE d.account = a.n AND d.place >= 0)"
            " FROM accounts a WHERE a.account IN ({})"
        )
        for account, n, expires_ms, devices in sql.select_in(self._connection, query, wanted):
            self._accounts[account] = AccountFacts(account, expires_ms, devices)
            self._account_n[account] = n

    def _load_read(self, topics: Iterable[bytes]) -> None:
        """What the devices of an inbox's owner have all passed; those unseen for long count only if all are."""
        inboxes = {self._topic_n[t]: t for t in topics if self._topics[t].kind is TopicKind.INBOX}
        query = (
            "SELECT t.n, min(CASE WHEN d.seen_ms >= ? THEN coalesce(k.offset, 0) END), min(coalesce(k.offset, 0))"
            " FROM topics t JOIN devices d ON d.account = t.owner AND d.place >= 0"
            " LEFT JOIN acks k ON k.topic = t.n AND k.device = d.n WHERE t.n IN ({}) GROUP BY t.n"
        )
        bounded = (
            "SELECT t.n, q.value FROM topics t JOIN quotas q ON q.account = t.owner AND q.name = ? WHERE t.n IN ({})"
        )
        for n, value in sql.select_in(self._connection, bounded, inboxes, INBOX_ENTRIES):
            self._inbox_max[inboxes[n]] = value
        for n, seen, least in sql.select_in(self._connection, query, inboxes, self._now_ms - DEVICE_UNSEEN_MS_MAX):
            self._read[inboxes[n]] = least if seen is None else seen

    def _load_targets(self, erasing: Sequence[Append]) -> None:
        names = {self._topic_n[intent.topic]: intent.topic for intent in erasing}
        query = (
            "SELECT e.topic, e.offset, a.account, e.flags FROM {}"
            " CROSS JOIN entries e ON e.topic = k.column1 AND e.offset = k.column2 AND e.body IS NOT NULL"
            " CROSS JOIN devices d ON d.n = e.device CROSS JOIN accounts a ON a.n = d.account"
        )
        keys = {(self._topic_n[intent.topic], intent.erases) for intent in erasing}
        for topic_n, offset, account, flags in sql.select_joined(self._connection, query, keys):
            self._targets[names[topic_n], offset] = Target(account, flags)

    # -- decisions -----------------------------------------------------------------------------------------------------
    def _facts(self, intent: Append) -> Facts:
        key, device = intent.topic, self._devices.get(intent.device)
        topic, members = self._topics.get(key), self._members.get(key, {})
        listed = device is not None and device.listed and device.account == intent.account
        login, expires_ms = (0, 0) if device is None else (device.login, device.expires_ms)
        stored = self._stored.get((key, intent.device, intent.id))
        after_stored = intent.after is None or (key, intent.device, intent.after) in self._stored
        author = members.get(intent.account)
        lease = self._leases.get((intent.account, slot_of(intent.topic)), 0)
        special = intent.access or intent.create or intent.welcomes or intent.erases or intent.blobs or intent.pointers
        if not special and (topic is None or topic.kind is not TopicKind.INBOX):
            return Facts(topic, author, login, listed, expires_ms, stored, after_stored, lease=lease)
        inboxes = {}
        for welcome in intent.welcomes:
            inbox = self._home(intent, welcome)
            if inbox in self._topics:
                used = (inbox, intent.device, intent.id) in self._stored
                inboxes[welcome.account] = self._inbox(inbox, intent, welcome.token, used=used)
        present = (account for account, member in members.items() if member.role != LEFT)
        return Facts(
            topic, author, login, listed, expires_ms, stored, after_stored,
            inbox=self._inbox(key, intent, intent.token) if topic and topic.kind is TopicKind.INBOX else None,
            roster=members,
            roster_devices=sum(self._accounts[account].devices for account in present if account in self._accounts),
            accounts=self._accounts,
            inboxes=inboxes,
            target=self._targets.get((key, intent.erases)),
            blobs_missing=len(set(intent.blobs).difference(self._blobs)),
            lease=lease,
            pointed={topic: self._topics[topic] for topic in intent.pointers if topic in self._topics},
        )  # fmt: skip

    def _inbox(self, inbox: bytes, intent: Append, token: bytes | None, *, used: bool = False) -> InboxFacts:
        topic = self._topics[inbox]
        read = max(self._read.get(inbox, 0), topic.floor)
        is_contact = self._visitors.is_contact(topic.owner, token, intent.account)
        strange = 0 if is_contact else self._visitors.waiting(self._topic_n[inbox], read)
        return InboxFacts(topic, topic.head - read, used, strange, is_contact, self._inbox_max.get(inbox))

    def _decide(self, intent: Append) -> Outcome:
        plan = decide(self._facts(intent), intent, self._now_ms, self._spacing_ms)
        if not isinstance(plan, Plan):
            return plan
        self._plans.append((intent, plan))
        self._apply(intent, plan.topic, plan.entry)
        for topic, entry in plan.inboxes:
            self._apply(intent, topic, entry)
        if plan.members or plan.forgotten:
            rows = {a: member for a, member in self._members[intent.topic].items() if a not in plan.forgotten}
            self._members[intent.topic] = rows | {member.account: member for member in plan.members}
        if plan.erases:
            del self._targets[intent.topic, plan.erases]
        entry = plan.entry
        entries = (entry, *(posted for _, posted in plan.inboxes))
        return Appended(entry.generation, entry.offset, entry.ts, False, entries, plan.change)

    def _apply(self, intent: Append, topic: TopicFacts, entry: Entry) -> None:
        self._topics[topic.topic] = topic
        stored = Stored(entry.generation, entry.offset, entry.ts, intent.digest)
        self._stored[topic.topic, intent.device, intent.id] = stored
        self._targets[topic.topic, entry.offset] = Target(entry.account, entry.flags)
        if entry.flags & STRANGER:
            self._visitors.posted(self._topic_n[topic.topic])

    # -- writing -------------------------------------------------------------------------------------------------------
    def _write(self) -> None:
        touched = {plan.topic.topic for _, plan in self._plans}
        touched.update(inbox.topic for _, plan in self._plans for inbox, _ in plan.inboxes)
        if touched.difference(self._topic_n):
            number = sql.next_number(self._connection, "topics")
            for topic in sorted(touched.difference(self._topic_n)):
                self._topic_n[topic] = number
                number += 1
        write_topics(self._connection, [self._topic_row(self._topics[topic]) for topic in touched])
        self._write_members()
        write_entries(self._connection, [row for intent, plan in self._plans for row in self._entry_rows(intent, plan)])
        refs = [
            (self._topic_n[intent.topic], plan.entry.offset, self._blobs[value])
            for intent, plan in self._plans
            for value in plan.blobs
        ]
        sql.insert_rows(self._connection, "blob_refs", "topic, offset, blob", refs)
        erased = [(self._topic_n[intent.topic], plan.erases) for intent, plan in self._plans if plan.erases]
        if erased:
            sql.bury(self._connection, erased)

    def _topic_row(self, topic: TopicFacts) -> sql.Row:
        owner_n = self._account_n[topic.owner] if topic.owner else None
        return topic_row(self._topic_n[topic.topic], owner_n, topic)

    def _write_members(self) -> None:
        rows: dict[tuple[int, int], Member | None] = {}  # the last word on each
        for intent, plan in self._plans:
            for account in plan.forgotten:
                rows[self._topic_n[intent.topic], self._account_n[account]] = None
            for member in plan.members:
                rows[self._topic_n[intent.topic], self._account_n[member.account]] = member
        gone = [key for key, member in rows.items() if member is None]
        for piece in sql.pieces(gone, (1,)):
            self._connection.exec_driver_sql("DELETE FROM members WHERE topic = ? AND account = ?", piece[0])
        values = [(*key, m.role, m.since, m.joined) for key, m in rows.items() if m is not None]
        conflict = "ON CONFLICT DO UPDATE SET role = excluded.role, since = excluded.since, joined = excluded.joined"
        sql.insert_rows(self._connection, "members", "topic, account, role, since, joined", values, conflict)

    def _entry_rows(self, intent: Append, plan: Plan) -> list[sql.Row]:
        device_n = self._devices[intent.device].n
        entries = [plan.entry, *(entry for _, entry in plan.inboxes)]
        return [sql.entry_row(self._topic_n[entry.topic], device_n, intent.digest, entry) for entry in entries]


def topic_facts(row: Any) -> TopicFacts:
    """A row of ``TOPICS``."""
    (
        _, topic, kind, owner, generation, head, head_hash, group, fence, floor, ts, committed_ms, strict, by,
        until_ms, recovering, _,
    ) = row  # fmt: skip
    return TopicFacts(
        topic, TopicKind(kind), owner or b"", generation, head, head_hash, group, fence, floor, ts, committed_ms,
        bool(strict), by, until_ms, bool(recovering),
    )  # fmt: skip


def topic_row(n: int, owner_n: int | None, topic: TopicFacts) -> sql.Row:
    """A row of ``sql.TOPIC_COLUMNS``."""
    return (
        n, topic.topic, int(topic.kind), owner_n, topic.generation, topic.head, topic.head_hash, topic.group,
        topic.fence, topic.floor, topic.ts, topic.committed_ms, topic.strict, topic.reserved_by,
        topic.reserved_until_ms, topic.recovering,
    )  # fmt: skip


def write_topics(connection: Connection, rows: Sequence[sql.Row]) -> None:
    """Insert or move on topics; rows of ``sql.TOPIC_COLUMNS``."""
    sql.insert_rows(connection, "topics", sql.TOPIC_COLUMNS, rows, sql.TOPIC_CONFLICT)


def write_entries(connection: Connection, rows: Sequence[sql.Row]) -> None:
    """Insert entries; rows of ``sql.entry_row``."""
    sql.insert_rows(connection, "entries", sql.ENTRY_COLUMNS_STORED, rows)
