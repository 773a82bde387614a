"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    _accounts_and_blobs()
    _people()
    _contacts_and_lockers()
    _logs()
    _restores()
    _of_members_and_devices()
    _of_the_operator()


def _accounts_and_blobs() -> None:
    op.create_table(
        "accounts",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_ms", sa.Integer(), nullable=False),
        sa.Column("service", sa.Boolean(), nullable=False),
        sa.Column("listed_at", sa.Integer(), nullable=False),
        sa.Column("listed_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_accounts"),
        sa.UniqueConstraint("account", name="uq_accounts_account"),
    )
    op.create_table(
        "blobs",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("added_ms", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_blobs_account"),
        sa.PrimaryKeyConstraint("n", name="pk_blobs"),
        sa.UniqueConstraint("hash", name="uq_blobs_hash"),
    )
    op.create_index("ix_blobs_added_ms", "blobs", ["added_ms"], unique=False)
    op.create_table(
        "blob_usage",
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_blob_usage_account"),
        sa.PrimaryKeyConstraint("account", name="pk_blob_usage"),
    )
    op.create_table(
        "blob_trash",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_blob_trash"),
    )
    op.create_table(
        "blob_refs",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["blob"], ["blobs.n"], name="fk_blob_refs_blob"),
        sa.PrimaryKeyConstraint("topic", "offset", "blob", name="pk_blob_refs"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_blob_refs_blob", "blob_refs", ["blob"], unique=False)


def _people() -> None:
    op.create_table(
        "devices",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("device", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("login", sa.Integer(), nullable=False),
        sa.Column("seen_ms", sa.Integer(), nullable=False),
        sa.Column("last_resort", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_devices_account"),
        sa.PrimaryKeyConstraint("n", name="pk_devices"),
        sa.UniqueConstraint("device", name="uq_devices_device"),
    )
    op.create_index("ix_devices_account", "devices", ["account"], unique=False)
    op.create_table(
        "handles",
        sa.Column("handle", sa.String(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_handles_account"),
        sa.PrimaryKeyConstraint("handle", name="pk_handles"),
        sa.UniqueConstraint("account", name="uq_handles_account"),
    )


def _contacts_and_lockers() -> None:
    op.create_table(
        "contact_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_contact_tokens_account"),
        sa.PrimaryKeyConstraint("hash", "account", name="pk_contact_tokens"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_contact_tokens_account", "contact_tokens", ["account"], unique=False)
    op.create_table(
        "lockers",
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("slot", sa.LargeBinary(), nullable=False),
        sa.Column("expires_ms", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_lockers_account"),
        sa.PrimaryKeyConstraint("account", "kind", name="pk_lockers"),
        sa.UniqueConstraint("slot", "kind", name="uq_lockers_slot_kind"),
        sqlite_with_rowid=False,
    )


def _logs() -> None:
    op.create_table(
        "topics",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("topic", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Integer(), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grp", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("floor", sa.Integer(), nullable=False),
        sa.Column("ts", sa.Integer(), nullable=False),
        sa.Column("committed_ms", sa.Integer(), nullable=False),
        sa.Column("strict", sa.Integer(), nullable=False),
        sa.Column("reserved_by", sa.LargeBinary(), nullable=False),
        sa.Column("reserved_until_ms", sa.Integer(), nullable=False),
        sa.Column("recovering", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["accounts.n"], name="fk_topics_owner"),
        sa.PrimaryKeyConstraint("n", name="pk_topics"),
        sa.UniqueConstraint("topic", name="uq_topics_topic"),
    )
    op.create_table(
        "acks",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.n"], name="fk_acks_device"),
        sa.ForeignKeyConstraint(["topic"], ["topics.n"], name="fk_acks_topic"),
        sa.PrimaryKeyConstraint("topic", "device", name="pk_acks"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entries",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("offset", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("ts", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("expires_ms", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("header", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["device"], ["devices.n"], name="fk_entries_device"),
        sa.ForeignKeyConstraint(["topic"], ["topics.n"], name="fk_entries_topic"),
        sa.PrimaryKeyConstraint("topic", "offset", name="pk_entries"),
        sa.UniqueConstraint("topic", "device", "id", name="uq_entries_topic_device_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_entries_expires_ms",
        "entries",
        ["expires_ms"],
        unique=False,
        sqlite_where=sa.text("expires_ms > 0 AND body IS NOT NULL"),
    )


def _restores() -> None:
    op.create_table(
        "restores",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["topic"], ["topics.n"], name="fk_restores_topic"),
        sa.PrimaryKeyConstraint("topic", "generation", name="pk_restores"),
        sqlite_with_rowid=False,
    )


def _of_members_and_devices() -> None:
    op.create_table(
        "key_packages",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("package", sa.LargeBinary(), nullable=False),
        sa.Column("added_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.n"], name="fk_key_packages_device"),
        sa.PrimaryKeyConstraint("n", name="pk_key_packages"),
        sa.UniqueConstraint("device", "package", name="uq_key_packages_device_package"),
    )
    op.create_table(
        "members",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("joined", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_members_account"),
        sa.ForeignKeyConstraint(["topic"], ["topics.n"], name="fk_members_topic"),
        sa.PrimaryKeyConstraint("topic", "account", name="pk_members"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_members_account", "members", ["account"], unique=False)
    op.create_table(
        "reservations",
        sa.Column("topic", sa.Integer(), nullable=False),
        sa.Column("device", sa.Integer(), nullable=False),
        sa.Column("made_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["devices.n"], name="fk_reservations_device"),
        sa.ForeignKeyConstraint(["topic"], ["topics.n"], name="fk_reservations_topic"),
        sa.PrimaryKeyConstraint("topic", "device", name="pk_reservations"),
        sqlite_with_rowid=False,
    )


def _of_the_operator() -> None:
    op.create_table(
        "invites",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("until_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_invites"),
    )
    op.create_table(
        "bans",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("made_ms", sa.Integer(), nullable=False),
        sa.Column("until_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_bans"),
    )
    op.create_table(
        "quotas",
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_quotas_account"),
        sa.PrimaryKeyConstraint("account", "name", name="pk_quotas"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reports",
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("made_ms", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("closed_ms", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("n", name="pk_reports"),
        sa.UniqueConstraint("digest", name="uq_reports_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reports_closed_ms", "reports", ["closed_ms"], unique=False)
    op.create_table(
        "slots",
        sa.Column("account", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["accounts.n"], name="fk_slots_account"),
        sa.PrimaryKeyConstraint("account", "slot", name="pk_slots"),
        sqlite_with_rowid=False,
    )
