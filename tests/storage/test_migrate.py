"""Migrations: what they make is what the tables say; a newer schema is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from storage import migrate
from storage.base import StoreUnusable
from storage.engine import open_database
from storage.tables import METADATA


def schema(connection: Connection) -> dict[tuple[str, str], list[str]]:
    """(type, name) → parts of the definition, without spaces; Alembic's own table left out."""
    rows = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    return {(kind, name): parts(re.sub(r"\s", "", sql)) for kind, name, sql in rows if name != "alembic_version"}


def parts(sql: str) -> list[str]:
    """The order of constraints means nothing."""
    start, end = sql.index("("), sql.rindex(")")
    return [sql[:start], sql[end:], *sorted(re.split(r",(?![^(]*\))", sql[start + 1 : end]))]


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    return ScriptDirectory.from_config(config)


def test_the_migrations_make_what_the_tables_say(tmp_path: Path) -> None:
    migrated = open_database(tmp_path / "migrated.db", writer=True)
    with migrated.begin() as connection:
        assert migrate.revision(connection) is None
        migrate.upgrade(connection)
        assert migrate.revision(connection) == migrate.HEAD
        by_migration = schema(connection)
    migrated.dispose()
    declared = create_engine("sqlite://")
    with declared.begin() as connection:
        METADATA.create_all(connection)
        assert by_migration == schema(connection)
    declared.dispose()
    assert ("table", "entries") in by_migration


def test_the_newest_revision_is_known_by_name() -> None:
    assert scripts().get_current_head() == migrate.HEAD


def test_upgrading_twice_changes_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "a.db", writer=True)
    for _ in range(2):
        with engine.begin() as connection:
            migrate.upgrade(connection)
            made = schema(connection)
            assert len(made) > 10
    engine.dispose()


def test_a_newer_schema_is_refused_with_a_sentence(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "a.db", writer=True)
    with engine.begin() as connection:
        migrate.upgrade(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with (
        engine.begin() as connection,
        pytest.raises(StoreUnusable, match=r"schema 9999.*newer version.*restore a backup"),
    ):
        migrate.upgrade(connection)
    engine.dispose()


def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "a.db", writer=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE members (n INTEGER)")
    with pytest.raises(Exception, match="already exists"), engine.begin() as connection:
        migrate.upgrade(connection)
    with engine.begin() as connection:
        assert list(schema(connection)) == [("table", "members")]
    engine.dispose()
