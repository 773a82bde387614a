"""Bring a database to the schema of this version, or refuse with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from storage.base import StoreUnusable

HEAD: Final = "0001"  # the newest revision in `migrations/versions`; a test compares
SCRIPTS: Final = Path(__file__).parent / "migrations"


def revision(connection: Connection) -> str | None:
    """The schema revision of a database; None: it is empty."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    if connection.exec_driver_sql(tables).first() is None:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return None if row is None else str(row[0])


def upgrade(connection: Connection) -> None:
    """Upgrade inside the connection's transaction. Raises ``StoreUnusable`` if a newer program made the schema."""
    current = revision(connection)
    if current == HEAD:  # the usual start needs no Alembic, whose import takes longer than the rest of it
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise StoreUnusable(
            f"the database has schema {current}, and this version of chappe knows {HEAD} as the newest: a newer version"
            " wrote it. Start that version, or restore a backup that this one wrote."
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
