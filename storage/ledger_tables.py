"""The tables of the ledger, in a database of its own. The constraints are a second wall behind the engine's checks."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    event,
    text,
)

from protocol.limits import INT_MAX, LEDGER_EXPONENT_MAX, LEDGER_ID_BYTES_MAX

METADATA: Final = MetaData()
SCHEMA: Final = 1  # `PRAGMA user_version` of this shape


def _number(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=False, primary_key=primary_key)


def _blob(name: str, *, null: bool = False, unique: bool = False, primary_key: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null, unique=unique, primary_key=primary_key)


def _within(*names: str) -> list[CheckConstraint]:
    return [CheckConstraint(f"{name} BETWEEN 0 AND {INT_MAX}") for name in names]


# One row: who may write (epoch), how far the journal goes, how many transactions there were, up to where the snapshot
# goes. Every transaction compares and moves it.
head: Final = Table(
    "ledger_head",
    METADATA,
    _number("n", primary_key=True),
    _number("epoch"),
    _number("sequence"),
    _number("commits"),
    _number("time_ms"),
    _number("snapshot"),
    CheckConstraint("n = 1"),
    CheckConstraint("snapshot <= sequence"),
)

# What was decided, in order. `id`: the operation's idempotency key; `ends`: the pending that a line ends, once each.
journal: Final = Table(
    "ledger_journal",
    METADATA,
    _number("sequence", primary_key=True),
    _blob("id", null=True, unique=True),
    _blob("ends", null=True),
    _blob("body"),
    _blob("leaf"),
    CheckConstraint("sequence > 0"),
    CheckConstraint(f"id IS NULL OR length(id) BETWEEN 1 AND {LEDGER_ID_BYTES_MAX}"),
    CheckConstraint("length(leaf) = 32"),
)
Index("ledger_journal_ends", journal.c.ends, unique=True, sqlite_where=text("ends IS NOT NULL"))

# The snapshot: ledgers, accounts and open pendings as of `ledger_head.snapshot`; the journal's tail says the rest.
ledgers: Final = Table(
    "ledger_ledgers",
    METADATA,
    Column("name", String, primary_key=True),
    _number("exponent"),
    CheckConstraint(f"exponent BETWEEN 0 AND {LEDGER_EXPONENT_MAX}"),
)
accounts: Final = Table(
    "ledger_accounts",
    METADATA,
    Column("ledger", String, nullable=False),
    _blob("owner"),
    _number("kind"),
    _number("status"),
    _number("amount_max"),
    _number("balance_max"),
    _number("debits_pending"),
    _number("debits_posted"),
    _number("credits_pending"),
    _number("credits_posted"),
    PrimaryKeyConstraint("ledger", "owner"),
    CheckConstraint("length(owner) = 32"),
    CheckConstraint("kind IN (0, 1)"),
    CheckConstraint("status IN (0, 1, 2)"),
    *_within("amount_max", "balance_max", "debits_pending", "debits_posted", "credits_pending", "credits_posted"),
    # Nobody spends what they do not have; a rail takes back no more than it issued; who is closed holds nothing.
    CheckConstraint("kind <> 0 OR debits_pending + debits_posted <= credits_posted"),
    CheckConstraint("kind <> 1 OR credits_pending + credits_posted <= debits_posted"),
    CheckConstraint("status <> 2 OR (debits_pending = 0 AND credits_pending = 0 AND debits_posted = credits_posted)"),
    sqlite_with_rowid=False,
)
held: Final = Table(
    "ledger_held", METADATA, _blob("id", primary_key=True), _blob("body"), sqlite_with_rowid=False
)  # fmt: skip

# The tree of receipts: complete subtrees above those that are quickly made from the journal's leaves.
nodes: Final = Table(
    "ledger_nodes",
    METADATA,
    _number("level"),
    _number("place"),
    _blob("hash"),
    PrimaryKeyConstraint("level", "place"),
    CheckConstraint("length(hash) = 32"),
    sqlite_with_rowid=False,
)
checkpoints: Final = Table("ledger_checkpoints", METADATA, _number("size", primary_key=True), _blob("body"))

# How far each source has been read, and what is to be sent: both move with the books or not at all.
cursors: Final = Table("ledger_cursors", METADATA, _blob("source", primary_key=True), _blob("cursor"))
outbox: Final = Table(
    "ledger_outbox",
    METADATA,
    _number("n", primary_key=True),
    _blob("id", unique=True),
    _blob("destination"),
    _blob("body"),
    sqlite_autoincrement=True,
)

_TRIGGERS: Final = (
    "CREATE TRIGGER ledger_journal_dense BEFORE INSERT ON ledger_journal"
    " WHEN NEW.sequence <> (SELECT coalesce(max(sequence), 0) + 1 FROM ledger_journal)"
    " BEGIN SELECT RAISE(ABORT, 'the journal would have a gap'); END",
    "CREATE TRIGGER ledger_journal_update BEFORE UPDATE ON ledger_journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    "CREATE TRIGGER ledger_journal_delete BEFORE DELETE ON ledger_journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END",
    "CREATE TRIGGER ledger_head_forward BEFORE UPDATE ON ledger_head"
    " WHEN NEW.epoch < OLD.epoch OR NEW.sequence < OLD.sequence OR NEW.commits <= OLD.commits"
    " OR NEW.time_ms < OLD.time_ms OR NEW.snapshot < OLD.snapshot"
    " BEGIN SELECT RAISE(ABORT, 'the head only moves forward'); END",
)
for _trigger in _TRIGGERS:
    event.listen(METADATA, "after_create", DDL(_trigger))  # type: ignore[no-untyped-call]
