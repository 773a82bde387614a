"""Invitations, bans and bounds of single accounts: what the operator has decided, kept with everything else."""

from __future__ import annotations

from sqlalchemy import Connection

from storage.decisions import Ban, Invite, Quota
from storage.engine import Engine


class SqlAdmission:
    """``base.Admission`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add_invite(self, invite: Invite) -> None:
        """Keep an invitation; forget those that are over."""

        def job(connection: Connection, now_ms: int) -> None:
            connection.exec_driver_sql("DELETE FROM invites WHERE uses < 1 OR until_ms <= ?", (now_ms,))
            values = (invite.hash, invite.uses, invite.until_ms)
            connection.exec_driver_sql("INSERT INTO invites (hash, uses, until_ms) VALUES (?, ?, ?)", values)

        await self._engine.write(job, len(invite.hash))

    async def invites(self) -> list[Invite]:
        """Invitations that can still be used, the first to end first."""

        def job(connection: Connection, now_ms: int) -> list[Invite]:
            query = "SELECT hash, uses, until_ms FROM invites WHERE uses > 0 AND until_ms > ? ORDER BY until_ms"
            return [Invite(*row) for row in connection.exec_driver_sql(query, (now_ms,))]

        return await self._engine.write(job)

    async def ban(self, ban: Ban) -> None:
        """Keep a ban in place of an older one of the same subject; forget those that are over."""

        def job(connection: Connection, now_ms: int) -> None:
            connection.exec_driver_sql("DELETE FROM bans WHERE until_ms > 0 AND until_ms <= ?", (now_ms,))
            connection.exec_driver_sql(
                "INSERT INTO bans (kind, subject, reason, made_ms, until_ms) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (kind, subject) DO UPDATE SET reason = excluded.reason, made_ms = excluded.made_ms,"
                " until_ms = excluded.until_ms",
                (ban.kind, ban.subject, ban.reason, ban.made_ms, ban.until_ms),
            )

        await self._engine.write(job, len(ban.reason))

    async def unban(self, kind: str, subject: str) -> bool:
        """Lift a ban. False: there was none."""

        def job(connection: Connection, _: int) -> bool:
            query = "DELETE FROM bans WHERE kind = ? AND subject = ?"
            return connection.exec_driver_sql(query, (kind, subject)).rowcount > 0

        return await self._engine.write(job)

    async def bans(self) -> list[Ban]:
        """Bans in force, oldest first."""

        def job(connection: Connection, now_ms: int) -> list[Ban]:
            query = (
                "SELECT kind, subject, reason, made_ms, until_ms FROM bans WHERE until_ms = 0 OR until_ms > ?"
                " ORDER BY made_ms, kind, subject"
            )
            return [Ban(*row) for row in connection.exec_driver_sql(query, (now_ms,))]

        return await self._engine.write(job)

    async def set_quota(self, account: bytes, name: str, value: int | None) -> bool:
        """Give an account a bound of its own, or take it away. False: the account is unknown."""

        def job(connection: Connection, _: int) -> bool:
            account_n = connection.exec_driver_sql("SELECT n FROM accounts WHERE account = ?", (account,)).scalar()
            if account_n is None:
                return False
            connection.exec_driver_sql("DELETE FROM quotas WHERE account = ? AND name = ?", (account_n, name))
            if value is not None:
                query = "INSERT INTO quotas (account, name, value) VALUES (?, ?, ?)"
                connection.exec_driver_sql(query, (account_n, name, value))
            return True

        return await self._engine.write(job)

    async def quotas(self) -> list[Quota]:
        """All bounds of single accounts, by account and name."""

        def query(connection: Connection) -> list[Quota]:
            text = (
                "SELECT a.account, q.name, q.value FROM quotas q JOIN accounts a ON a.n = q.account"
                " ORDER BY a.account, q.name"
            )
            return [Quota(*row) for row in connection.exec_driver_sql(text)]

        return await self._engine.read(query)


def use_invite(connection: Connection, hash_: bytes, now_ms: int) -> bool:
    """Count an invitation down, inside the transaction that registers; False: it is not in force."""
    query = "UPDATE invites SET uses = uses - 1 WHERE hash = ? AND uses > 0 AND until_ms > ?"
    return connection.exec_driver_sql(query, (hash_, now_ms)).rowcount > 0
