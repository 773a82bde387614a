"""Whose contact is who: hashes of tokens that an account's contacts can show. The relay keeps no list of contacts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection

from protocol.ids import contact_hash
from storage import sql
from storage.engine import Engine


class SqlContacts:
    """``base.Contacts`` over the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def set_tokens(self, account: bytes, hashes: Sequence[bytes]) -> None:
        """See ``base.Contacts``."""
        wanted = tuple(dict.fromkeys(hashes))
        await self._engine.write(lambda connection, _: _set_tokens(connection, account, wanted))

    async def known(self, account: bytes, tokens: Sequence[tuple[bytes, bytes]]) -> set[bytes]:
        """See ``base.Contacts``."""
        pairs = tuple(tokens)
        return await self._engine.read(lambda connection: recognised(connection, account, pairs))


def _set_tokens(connection: Connection, account: bytes, hashes: Sequence[bytes]) -> None:
    account_n = connection.exec_driver_sql("SELECT n FROM accounts WHERE account = ?", (account,)).scalar()
    if account_n is not None:
        connection.exec_driver_sql("DELETE FROM contact_tokens WHERE account = ?", (account_n,))
        sql.insert_rows(connection, "contact_tokens", "account, hash", [(account_n, value) for value in hashes])


def recognised(connection: Connection, account: bytes, tokens: Collection[tuple[bytes, bytes]]) -> set[bytes]:
    """The accounts that take ``account`` for a contact: itself, and those of whose tokens one was shown."""
    hashes = {contact_hash(owner, token): owner for owner, token in tokens}
    rows = sql.select_in(
        connection,
        "SELECT a.account, c.hash FROM contact_tokens c JOIN accounts a ON a.n = c.account WHERE c.hash IN ({})",
        list(hashes),
    )
    return {account, *(owner for owner, value in rows if hashes[value] == owner)}
