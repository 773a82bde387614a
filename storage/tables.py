"""The tables. Keys of 32 bytes occur once each; everywhere else a short integer stands for them, so rows are small.

The engine writes hot paths as plain SQL against these names; what is rare goes through SQLAlchemy. A test proves that
these definitions and the migrations make the same schema.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    text,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number(name: str, *parts: ForeignKey, null: bool = False, primary_key: bool = False) -> Column[int]:
    return Column(name, Integer, *parts, nullable=null, primary_key=primary_key)


def _blob(name: str, *, null: bool = False, unique: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null, unique=unique)


# An account, and the one current version of its signed device list. `listed_at` is the offset of that version's entry
# in the account's inbox and `listed_ms` its time: what a repeated publication is answered with.
accounts: Final = Table(
    "accounts",
    METADATA,
    _number("n", primary_key=True),
    _blob("account", unique=True),
    _number("version"),
    _blob("signed"),
    _number("expires_ms"),
    Column("service", Boolean(create_constraint=False), nullable=False),
    _number("listed_at"),
    _number("listed_ms"),
)

# A device that is or was on the list of an account; it belongs to the first account that listed it. `login` counts its
# logins; `seen_ms` is the last of them, or when it was first listed. `last_resort` is its reusable key package.
devices: Final = Table(
    "devices",
    METADATA,
    _number("n", primary_key=True),
    _blob("device", unique=True),
    _number("account", ForeignKey("accounts.n")),
    _number("place"),  # position on the current list; -1 when it is not on it any more
    _number("login"),
    _number("seen_ms"),
    _blob("last_resort", null=True),
    Index("ix_devices_account", "account"),
)

# A handle belongs to one account, and an account has one.
handles: Final = Table(
    "handles",
    METADATA,
    Column("handle", String, primary_key=True, nullable=False),
    Column("account", Integer, ForeignKey("accounts.n"), nullable=False, unique=True),
)

# Hashes of the tokens that contacts of an account show. The columns come in the order of the key: where they do not,
# `PRAGMA quick_check` of SQLite 3.40 finds a NULL in a sound table without rowid.
contact_tokens: Final = Table(
    "contact_tokens",
    METADATA,
    _blob("hash"),
    _number("account", ForeignKey("accounts.n")),
    PrimaryKeyConstraint("hash", "account"),
    Index("ix_contact_tokens_account", "account"),
    sqlite_with_rowid=False,
)

# Sealed parcels, one of a kind an account: 1 is what its recovery code opens, 2 is for a device that is being linked.
lockers: Final = Table(
    "lockers",
    METADATA,
    _number("account", ForeignKey("accounts.n")),
    _number("kind"),
    _blob("slot"),
    _number("expires_ms"),  # 0: never
    _blob("sealed"),
    PrimaryKeyConstraint("account", "kind"),
    UniqueConstraint("slot", "kind"),
    sqlite_with_rowid=False,
)

# One-time key packages, handed out oldest first. The same bytes are kept once.
key_packages: Final = Table(
    "key_packages",
    METADATA,
    _number("n", primary_key=True),
    _number("device", ForeignKey("devices.n")),
    _blob("package"),
    _number("added_ms"),
    UniqueConstraint("device", "package"),
)

# A log and its state at the head. `owner` is the account of an inbox, self topic or feed. `fence` counts the commits of
# group number `grp`; `strict`: the last commit leaves no grace; `reserved_*`: who may commit next, and until when.
topics: Final = Table(
    "topics",
    METADATA,
    _number("n", primary_key=True),
    _blob("topic", unique=True),
    _number("kind"),
    _number("owner", ForeignKey("accounts.n"), null=True),
    _number("generation"),
    _number("head"),
    _blob("head_hash"),
    _number("grp"),
    _number("fence"),
    _number("floor"),
    _number("ts"),
    _number("committed_ms"),
    _number("strict"),
    _blob("reserved_by"),
    _number("reserved_until_ms"),
    _number("recovering"),  # 1: restored from a backup, and no admin has started encryption anew yet
)

# Where a log was taken up again from a backup: entries above `base` are of this generation, until the next one. `hash`
# is the chain hash at `base`.
restores: Final = Table(
    "restores",
    METADATA,
    _number("topic", ForeignKey("topics.n")),
    _number("generation"),
    _number("base"),
    _blob("hash"),
    PrimaryKeyConstraint("topic", "generation"),
    sqlite_with_rowid=False,
)

# The access list. Role 0 has left, and waits for a commit that removes it from the group as well.
members: Final = Table(
    "members",
    METADATA,
    _number("topic", ForeignKey("topics.n")),
    _number("account", ForeignKey("accounts.n")),
    _number("role"),
    _number("since"),
    _number("joined"),
    PrimaryKeyConstraint("topic", "account"),
    Index("ix_members_account", "account"),
    sqlite_with_rowid=False,
)

# The entries of all logs, each log in one piece. `body` NULL is a tombstone: it keeps the chain hash and, until ids of
# its age are refused anyway, what its id meant. The last tombstone of a run stays: a gap ends with its hash.
entries: Final = Table(
    "entries",
    METADATA,
    _number("topic", ForeignKey("topics.n")),
    Column("offset", Integer, nullable=False, autoincrement=False),
    _number("generation"),
    _number("device", ForeignKey("devices.n")),
    _blob("id"),
    _number("ts"),
    _number("flags"),
    _number("fence"),
    _number("expires_ms"),  # ts + ttl; 0 without a ttl
    _blob("digest"),
    _blob("hash"),
    _blob("header", null=True),
    _blob("body", null=True),
    PrimaryKeyConstraint("topic", "offset"),
    UniqueConstraint("topic", "device", "id"),  # dedupe
    sqlite_with_rowid=False,
)
Index(  # only entries that have a time to live, while they live
    "ix_entries_expires_ms", entries.c.expires_ms, sqlite_where=text("expires_ms > 0 AND body IS NOT NULL")
)

# How far a device has read a topic: only retention and the room of inboxes look at it.
acks: Final = Table(
    "acks",
    METADATA,
    _number("topic", ForeignKey("topics.n")),
    _number("device", ForeignKey("devices.n")),
    Column("offset", Integer, nullable=False),
    PrimaryKeyConstraint("topic", "device"),
    sqlite_with_rowid=False,
)

# When a device last reserved the next commit of a topic: once in ten minutes.
reservations: Final = Table(
    "reservations",
    METADATA,
    _number("topic", ForeignKey("topics.n")),
    _number("device", ForeignKey("devices.n")),
    _number("made_ms"),
    PrimaryKeyConstraint("topic", "device"),
    sqlite_with_rowid=False,
)

# What lets somebody register where that needs an invitation: the hash of its token, and how often it may still be used.
invites: Final = Table(
    "invites",
    METADATA,
    Column("hash", LargeBinary, primary_key=True, nullable=False),
    _number("uses"),
    _number("until_ms"),
)

# Whom the operator does not serve: kind account or device (subject in hex), or address. `until_ms` 0: for good.
bans: Final = Table(
    "bans",
    METADATA,
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("reason", String, nullable=False),
    _number("made_ms"),
    _number("until_ms"),
    PrimaryKeyConstraint("kind", "subject"),
)

# Sealed reports for the operator. A report outlives its account, hence the key here. `digest`: the same bytes are kept
# once. `closed_ms` 0: it waits. Numbers are never given twice, or an operator might close another one than was read.
reports: Final = Table(
    "reports",
    METADATA,
    _number("n", primary_key=True),
    _blob("account"),
    _number("made_ms"),
    _blob("digest", unique=True),
    _blob("sealed"),
    _number("closed_ms"),
    Column("note", String, nullable=False),
    Index("ix_reports_closed_ms", "closed_ms"),
    sqlite_autoincrement=True,
)

# Bounds of single accounts, in place of the relay's settings.
quotas: Final = Table(
    "quotas",
    METADATA,
    _number("account", ForeignKey("accounts.n")),
    Column("name", String, nullable=False),
    _number("value"),
    PrimaryKeyConstraint("account", "name"),
    sqlite_with_rowid=False,
)

# The token of whoever holds a slot of a worker: it only grows, so an older holder is told from the present one.
slots: Final = Table(
    "slots",
    METADATA,
    _number("account", ForeignKey("accounts.n")),
    _number("slot"),
    _number("token"),
    PrimaryKeyConstraint("account", "slot"),
    sqlite_with_rowid=False,
)

# Sealed bytes under their SHA-256. `data` NULL: in a file named by the hash. `account` uploaded it first, and pays.
blobs: Final = Table(
    "blobs",
    METADATA,
    _number("n", primary_key=True),
    _blob("hash", unique=True),
    _number("added_ms"),
    _number("size"),
    _number("account", ForeignKey("accounts.n"), null=True),
    _blob("data", null=True),
    Index("ix_blobs_added_ms", "added_ms"),
)

# Bytes of the living blobs that an account uploaded: kept, since a sum over thousands of rows is too slow a question.
blob_usage: Final = Table(
    "blob_usage",
    METADATA,
    _number("account", ForeignKey("accounts.n"), primary_key=True),
    _number("bytes"),
)

# Files whose rows are gone, or never came: unlinked after the commit that says so, so that a crash forgets none.
blob_trash: Final = Table("blob_trash", METADATA, Column("hash", LargeBinary, primary_key=True, nullable=False))

# Which entries hold a blob. One that no row names is freed: at once when the last row goes, after an hour if there
# never was one.
blob_refs: Final = Table(
    "blob_refs",
    METADATA,
    _number("topic"),
    Column("offset", Integer, nullable=False),
    _number("blob", ForeignKey("blobs.n")),
    PrimaryKeyConstraint("topic", "offset", "blob"),
    Index("ix_blob_refs_blob", "blob"),
    sqlite_with_rowid=False,
)
