"""Key packages of devices: opaque, one-time ones handed out once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from protocol.limits import KEY_PACKAGES_MAX
from storage import sql
from storage.base import Claimed
from storage.engine import Engine


class SqlKeyPackages:
    """``base.KeyPackages`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(
        self, account: bytes, device: bytes, packages: Sequence[bytes], last_resort: bytes | None,
        most: int = KEY_PACKAGES_MAX,
    ) -> int:  # fmt: skip
        """Store; how many one-time packages of the device there are then.

        What is stored already counts once; what does not fit, and what an unlisted device brings, is not kept.
        """
        kept = tuple(packages[:most])
        size = sum(len(package) for package in kept)
        return await self._engine.write(
            lambda c, now_ms: _put(c, account, device, kept, last_resort, now_ms, most), size
        )

    async def claim(
        self, accounts: Sequence[bytes], *, devices: Collection[bytes] = (), strangers: Collection[bytes] = ()
    ) -> list[Claimed]:
        """One package per listed device of each account, in the order of accounts and of their lists."""
        wanted, only, to_strangers = tuple(dict.fromkeys(accounts)), frozenset(devices), frozenset(strangers)
        return await self._engine.write(lambda connection, _: _claim(connection, wanted, only, to_strangers))


def _put(
    connection: Connection, account: bytes, device: bytes, packages: Sequence[bytes], last_resort: bytes | None,
    now_ms: int, most: int,
) -> int:  # fmt: skip
    query = (
        "SELECT d.n, (SELECT count(*) FROM key_packages k WHERE k.device = d.n) FROM devices d"
        " JOIN accounts a ON a.n = d.account WHERE a.account = ? AND d.device = ? AND d.place >= 0"
    )
    row = connection.exec_driver_sql(query, (account, device)).first()
    if row is None:
        return 0
    device_n, count = row
    if last_resort is not None:
        connection.exec_driver_sql("UPDATE devices SET last_resort = ? WHERE n = ?", (last_resort, device_n))
    for package in packages:
        if count >= most:
            break
        count += connection.exec_driver_sql(
            "INSERT INTO key_packages (device, package, added_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (device_n, package, now_ms),
        ).rowcount
    return int(count)


def _claim(
    connection: Connection, accounts: Sequence[bytes], only: Collection[bytes], strangers: Collection[bytes]
) -> list[Claimed]:  # fmt: skip
    query = (
        "SELECT a.account, d.device, d.last_resort, d.n,"
        " (SELECT min(n) FROM key_packages k WHERE k.device = d.n),"
        " (SELECT count(*) FROM key_packages k WHERE k.device = d.n)"
        " FROM accounts a JOIN devices d ON d.account = a.n WHERE d.place >= 0 AND a.account IN ({}) ORDER BY d.place"
    )
    claimed: dict[bytes, list[Claimed]] = {account: [] for account in accounts}
    for account, device, last_resort, _, oldest, left in sql.select_in(connection, query, accounts):
        if only and device not in only:
            continue
        if oldest is not None and account not in strangers:
            package = connection.exec_driver_sql(
                "DELETE FROM key_packages WHERE n = ? RETURNING package", (oldest,)
            ).scalar_one()
            claimed[account].append(Claimed(account, device, package, False, left - 1))
        elif last_resort is not None:
            claimed[account].append(Claimed(account, device, last_resort, True, 0))
    return [package for account in accounts for package in claimed[account]]
