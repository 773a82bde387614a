"""Accounts, their device lists, logins and handles."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from protocol.errors import Code, Reason
from protocol.frames import Role
from protocol.ids import TopicKind, inbox_topic
from storage import batch, sql
from storage.admission import use_invite
from storage.base import Account, Appended, Entry, Login, Refused
from storage.engine import Engine
from storage.lists import Publication, announce, judge, not_invited
from storage.logins import next_login
from storage.slot_facts import found_inboxes


class SqlAccounts:
    """``base.Accounts`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def publish_list(
        self, account: bytes, version: int, signed: bytes, expires_ms: int, devices: Sequence[bytes], service: bool,
        device: bytes, invite: bytes = b"",
    ) -> Appended | Refused:  # fmt: skip
        """See ``base.Accounts``. A device belongs to the first account that listed it."""
        new = Publication(account, version, signed, expires_ms, tuple(devices), service, device, invite)
        return await self._engine.write(lambda connection, now_ms: _publish(connection, new, now_ms), len(signed))

    async def get(self, accounts: Sequence[bytes]) -> list[Account | None]:
        """Accounts in the order asked; None: not registered."""
        return await self._engine.read(lambda connection: _accounts(connection, accounts))

    async def login(self, account: bytes, device: bytes, number: int = 0, *, shared: bool = False) -> Login | Refused:
        """Record a login. Raises ``LookupError`` if the device is not on the account's current list."""
        result = await self._engine.write(
            lambda connection, now_ms: _login(connection, account, device, number, now_ms, shared)
        )  # fmt: skip
        if result is None:
            raise LookupError("the device is not on its account's current device list")
        return result

    async def claim_handle(self, account: bytes, handle: str) -> Refused | None:
        """Take a handle; the account's earlier one becomes free. None: done."""
        return await self._engine.write(lambda connection, _: _claim_handle(connection, account, handle), len(handle))

    async def resolve_handle(self, handle: str) -> bytes | None:
        """The account of a handle."""

        def query(connection: Connection) -> bytes | None:
            text = "SELECT a.account FROM handles h JOIN accounts a ON a.n = h.account WHERE h.handle = ?"
            value: bytes | None = connection.exec_driver_sql(text, (handle,)).scalar()
            return value

        return await self._engine.read(query)


def _accounts(connection: Connection, accounts: Sequence[bytes]) -> list[Account | None]:
    query = (
        "SELECT a.n, a.account, a.version, a.signed, a.expires_ms, a.service, h.handle"
        " FROM accounts a LEFT JOIN handles h ON h.account = a.n WHERE a.account IN ({})"
    )
    rows = sql.select_in(connection, query, set(accounts))
    devices: dict[int, list[bytes]] = {row[0]: [] for row in rows}
    listed = "SELECT account, device FROM devices WHERE place >= 0 AND account IN ({}) ORDER BY account, place"
    for n, device in sql.select_in(connection, listed, list(devices)):
        devices[n].append(device)
    found = {
        account: Account(account, version, signed, expires_ms, tuple(devices[n]), bool(service), handle)
        for n, account, version, signed, expires_ms, service, handle in rows
    }
    return [found.get(account) for account in accounts]


def _publish(connection: Connection, new: Publication, now_ms: int) -> Appended | Refused:
    query = "SELECT n, version, signed, listed_at, listed_ms FROM accounts WHERE account = ?"
    row = connection.exec_driver_sql(query, (new.account,)).first()
    account_n, version, signed, listed_at, listed_ms = row if row is not None else (0, 0, b"", 0, 0)
    if version == new.version and signed == new.signed:
        return Appended(1, listed_at, listed_ms, duplicate=True)
    owners = sql.select_in(
        connection, "SELECT device, account, n, place FROM devices WHERE device IN ({})", {*new.devices, new.device}
    )
    known = [device for device, owner, _, place in owners if owner == account_n and place >= 0]
    foreign = sum(owner != account_n and device in new.devices for device, owner, _, _ in owners)
    refusal = judge(new, version, known, foreign, now_ms)
    if refusal is not None:
        return refusal
    if row is None and new.invite and not use_invite(connection, new.invite, now_ms):
        return not_invited()
    if row is None:
        account_n = sql.next_number(connection, "accounts")
        _found_account(connection, account_n, new)
    if new.service:
        found_inboxes(connection, account_n, new.account)
    _list_devices(connection, account_n, new, now_ms)
    if not new.devices:
        _forget(connection, account_n)
    entry = _announce(connection, account_n, new, now_ms)
    connection.exec_driver_sql(
        "UPDATE accounts SET version = ?, signed = ?, expires_ms = ?, service = ?, listed_at = ?, listed_ms = ?"
        " WHERE n = ?",
        (new.version, new.signed, new.expires_ms, new.service, entry.offset, entry.ts, account_n),
    )
    return Appended(entry.generation, entry.offset, entry.ts, False, (entry,))


def _found_account(connection: Connection, account_n: int, new: Publication) -> None:
    columns = "n, account, version, signed, expires_ms, service, listed_at, listed_ms"
    row = (account_n, new.account, 0, b"", 0, False, 0, 0)
    sql.insert_rows(connection, "accounts", columns, [row])
    topic_n = sql.next_number(connection, "topics")
    inbox = (
        topic_n,
        inbox_topic(new.account),
        int(TopicKind.INBOX),
        account_n,
        1,
        0,
        bytes(32),
        0,
        0,
        0,
        0,
        0,
        True,
        b"",
        0,
        False,
    )
    batch.write_topics(connection, [inbox])
    sql.insert_rows(
        connection, "members", "topic, account, role, since, joined", [(topic_n, account_n, Role.OWNER, 0, 0)]
    )


def _list_devices(connection: Connection, account_n: int, new: Publication, now_ms: int) -> None:
    connection.exec_driver_sql("UPDATE devices SET place = -1 WHERE account = ? AND place >= 0", (account_n,))
    number = sql.next_number(connection, "devices")
    rows = [(number + i, device, account_n, i, 0, now_ms) for i, device in enumerate(new.devices)]
    conflict = "ON CONFLICT (device) DO UPDATE SET place = excluded.place"
    sql.insert_rows(connection, "devices", "n, device, account, place, login, seen_ms", rows, conflict)
    unlisted = "SELECT n FROM devices WHERE account = ? AND place < 0"
    connection.exec_driver_sql(f"DELETE FROM key_packages WHERE device IN ({unlisted})", (account_n,))
    connection.exec_driver_sql("UPDATE devices SET last_resort = NULL WHERE account = ? AND place < 0", (account_n,))


def _forget(connection: Connection, account_n: int) -> None:
    """Nobody is behind the account any more: its name is free, and nobody can recover or reach it."""
    for table in ("handles", "contact_tokens", "lockers"):
        connection.exec_driver_sql(f"DELETE FROM {table} WHERE account = ?", (account_n,))


def _announce(connection: Connection, account_n: int, new: Publication, now_ms: int) -> Entry:
    row = sql.select_in(connection, batch.TOPICS, [inbox_topic(new.account)])[0]
    inbox, entry, digest = announce(batch.topic_facts(row), new, now_ms)
    device_n = connection.exec_driver_sql("SELECT n FROM devices WHERE device = ?", (new.device,)).scalar_one()
    batch.write_topics(connection, [batch.topic_row(row[0], account_n, inbox)])
    batch.write_entries(connection, [sql.entry_row(row[0], device_n, digest, entry)])
    return entry


def _login(
    connection: Connection, account: bytes, device: bytes, number: int, now_ms: int, shared: bool
) -> Login | Refused | None:
    row = connection.exec_driver_sql(
        "SELECT n, login, (SELECT count(*) FROM key_packages k WHERE k.device = devices.n) FROM devices"
        " WHERE device = ? AND place >= 0 AND account = (SELECT n FROM accounts WHERE account = ?)",
        (device, account),
    ).first()
    if row is None:
        return None
    recorded = next_login(row[1], number, now_ms, shared=shared)
    if isinstance(recorded, Refused):
        return recorded
    connection.exec_driver_sql("UPDATE devices SET login = ?, seen_ms = ? WHERE n = ?", (recorded, now_ms, row[0]))
    return Login(recorded, row[2])


def _claim_handle(connection: Connection, account: bytes, handle: str) -> Refused | None:
    account_n = connection.exec_driver_sql("SELECT n FROM accounts WHERE account = ?", (account,)).scalar()
    if account_n is None:
        return Refused(Code.NOT_FOUND, "the account is not registered here")
    owner = connection.exec_driver_sql("SELECT account FROM handles WHERE handle = ?", (handle,)).scalar()
    if owner is not None and owner != account_n:
        return Refused(Code.CONFLICT, "the handle belongs to another account", Reason.TAKEN)
    connection.exec_driver_sql("DELETE FROM handles WHERE account = ?", (account_n,))
    connection.exec_driver_sql("INSERT INTO handles (handle, account) VALUES (?, ?)", (handle, account_n))
    return None
