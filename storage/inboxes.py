"""Room in inboxes: strangers have little, so that whoever is known always finds some. With what a batch asks for it.

A stranger is who shows no token of a contact. The owner's own devices are none, and accounts that serve everyone know
no strangers. The relay marks a stranger's entry, since it alone knows what was shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from protocol.errors import Code
from protocol.ids import contact_hash
from protocol.limits import INBOX_ENTRIES_MAX, INBOX_STRANGERS_MAX
from storage import sql
from storage.base import Append, Refused
from storage.facts import InboxFacts
from storage.flags import STRANGER


def full(inboxes: Collection[InboxFacts]) -> Refused | None:
    """Why one more entry does not fit into each of these inboxes."""
    full_of = max((inbox.unread for inbox in inboxes if inbox.unread >= _bound(inbox)), default=None)
    if full_of is not None:
        return Refused(Code.QUOTA, f"an inbox has {full_of} unread entries; its owner must read first")
    if any(inbox.strange >= INBOX_STRANGERS_MAX and not inbox.is_contact for inbox in inboxes):
        text = f"an inbox has {INBOX_STRANGERS_MAX} unread entries by strangers; show a token of a contact, or wait"
        return Refused(Code.QUOTA, text)
    return None


def _bound(inbox: InboxFacts) -> int:
    return INBOX_ENTRIES_MAX if inbox.unread_max is None else inbox.unread_max


def mark(is_contact: bool) -> int:
    """The flag that an entry of an inbox gets beside its own."""
    return 0 if is_contact else STRANGER


class Visitors:
    """Who posts into whose inbox, in one batch of appends: contacts, and how many entries of strangers wait."""

    def __init__(self, connection: Connection, posts: Iterable[tuple[bytes, bytes | None, Append]]) -> None:
        """``posts``: (owner of the inbox, token shown, intent)."""
        owners: set[bytes] = set()
        hashes: set[bytes] = set()
        for owner, token, _ in posts:
            owners.add(owner)
            if token is not None:
                hashes.add(contact_hash(owner, token))
        self._connection = connection
        self._counted: dict[int, int] = {}
        self._known = {
            row[0] for row in sql.select_in(connection, "SELECT hash FROM contact_tokens WHERE hash IN ({})", hashes)
        }
        query = "SELECT account FROM accounts WHERE service AND account IN ({})"
        self._serving = {row[0] for row in sql.select_in(connection, query, owners)}

    def is_contact(self, owner: bytes, token: bytes | None, account: bytes) -> bool:
        """Whether ``owner`` takes ``account`` for a contact. The owner is part of the hash, so it fits no other."""
        shown = token is not None and contact_hash(owner, token) in self._known
        return shown or owner == account or owner in self._serving

    def waiting(self, inbox_n: int, read: int) -> int:
        """Entries by strangers that wait in an inbox behind offset ``read``, those of this batch included."""
        if inbox_n not in self._counted:
            query = "SELECT count(*) FROM entries WHERE topic = ? AND offset > ? AND flags & ?"
            self._counted[inbox_n] = self._connection.exec_driver_sql(query, (inbox_n, read, STRANGER)).scalar_one()
        return self._counted[inbox_n]

    def posted(self, inbox_n: int) -> None:
        """One more entry by a stranger."""
        if inbox_n in self._counted:
            self._counted[inbox_n] += 1
