"""What founding an account and a batch of appends ask about workers' slots."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from protocol.frames import Role
from protocol.ids import TopicKind, slot_inbox, slot_of
from protocol.limits import SLOTS
from storage import sql
from storage.base import Append
from storage.facts import TopicFacts


def found_inboxes(connection: Connection, account_n: int, account: bytes) -> None:
    """Make the inboxes of a worker, one a slot, where there are none yet."""
    known = connection.exec_driver_sql("SELECT 1 FROM topics WHERE topic = ?", (slot_inbox(account, 0),)).scalar()
    if known is not None:
        return
    number = sql.next_number(connection, "topics")
    blank = TopicFacts(b"", TopicKind.INBOX, account, head_hash=bytes(32))
    topics = [
        (number + slot, slot_inbox(account, slot), int(blank.kind), account_n, blank.generation, 0, blank.head_hash, 0,
         0, 0, 0, 0, True, b"", 0, False)
        for slot in range(SLOTS)
    ]  # fmt: skip
    sql.insert_rows(connection, "topics", sql.TOPIC_COLUMNS, topics)
    members = [(number + slot, account_n, Role.OWNER, 0, 0) for slot in range(SLOTS)]
    sql.insert_rows(connection, "members", "topic, account, role, since, joined", members)


def serving(connection: Connection, intents: Iterable[Append]) -> set[bytes]:
    """Those of the welcomed accounts that are workers."""
    welcomed = {welcome.account for intent in intents for welcome in intent.welcomes}
    if not welcomed:
        return set()
    query = "SELECT account FROM accounts WHERE service AND account IN ({})"
    return {row[0] for row in sql.select_in(connection, query, welcomed)}


def leases(connection: Connection, intents: Iterable[Append]) -> dict[tuple[bytes, int], int]:
    """The tokens in force of (account, slot), for what processes of workers send."""
    wanted = {(intent.account, slot_of(intent.topic)) for intent in intents if intent.lease is not None}
    if not wanted:
        return {}
    query = "SELECT a.account, s.slot, s.token FROM slots s JOIN accounts a ON a.n = s.account WHERE a.account IN ({})"
    rows = sql.select_in(connection, query, {account for account, _ in wanted})
    return {(account, slot): token for account, slot, token in rows}
