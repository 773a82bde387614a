"""What the tables promise."""

from __future__ import annotations

from sqlalchemy import Table

from storage.tables import METADATA


def test_every_table_has_a_key_and_named_constraints() -> None:
    tables: list[Table] = list(METADATA.tables.values())
    assert len(tables) == 21
    for table in tables:
        assert table.primary_key.columns
        assert all(constraint.name for constraint in table.constraints)


def test_columns_may_be_empty_only_where_that_means_something() -> None:
    nullable = {str(column) for table in METADATA.tables.values() for column in table.columns if column.nullable}
    assert nullable == {
        "devices.last_resort", "topics.owner", "entries.header", "entries.body", "blobs.account", "blobs.data",
    }  # fmt: skip


def test_logs_lie_in_one_piece() -> None:
    assert METADATA.tables["entries"].dialect_options["sqlite"]["with_rowid"] is False
    assert [column.name for column in METADATA.tables["entries"].primary_key.columns] == ["topic", "offset"]


def test_keys_of_tables_without_rowid_come_first_and_in_order() -> None:
    """Otherwise ``PRAGMA quick_check`` of SQLite 3.40 takes a sound table for a damaged one."""
    for table in METADATA.tables.values():
        if table.dialect_options["sqlite"]["with_rowid"] is False:
            names = [column.name for column in table.columns]
            key = [column.name for column in table.primary_key.columns]
            assert names[: len(key)] == key, table.name
