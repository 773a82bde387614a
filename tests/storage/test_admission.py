"""Invitations, bans and bounds on SQLite: the contract's tests, and what only rows show."""

from __future__ import annotations

from storage.decisions import Ban, Invite
from storage.sqlite import SqliteStore
from tests.contracts.admission import *  # noqa: F403
from tests.contracts.kit import DAY_MS, START_MS, Kit, key


async def test_what_is_over_is_deleted_when_something_new_comes(sqlite: SqliteStore, kit: Kit) -> None:
    await sqlite.admission.add_invite(Invite(key("old"), 1, START_MS + 1))
    await sqlite.admission.ban(Ban("address", "192.0.2.1", "", START_MS, START_MS + 1))
    kit.clock.pass_ms(DAY_MS)
    await sqlite.admission.add_invite(Invite(key("new"), 1, START_MS + 2 * DAY_MS))
    await sqlite.admission.ban(Ban("address", "192.0.2.2", "", START_MS, 0))

    query = "SELECT (SELECT count(*) FROM invites), (SELECT count(*) FROM bans)"
    assert await sqlite.engine.read(lambda c: tuple(c.exec_driver_sql(query).one())) == (1, 1)
