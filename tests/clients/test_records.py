"""Rows of the vault: they come back as they were, also those of earlier versions, and show no secret."""

from __future__ import annotations

import msgspec
import pytest

from clients import records as R

KEY, ID = bytes(range(32)), bytes(range(16))
SECRET = b"keep this to yourself"
ROWS: list[msgspec.Struct] = [
    R.Conversation(KEY, 1, R.Status.ACTIVE, roster={KEY: 4}, delivered={KEY: 7}, left=(KEY,), lost_at=3),
    R.Attempt(1, 2, KEY),
    R.Blob(KEY, SECRET),
    R.Plan(create_kind=1, add=(R.Addition(KEY, KEY, SECRET),), roles=((KEY, 2),), renew=((KEY, KEY),), fence=9),
    R.Outgoing(1, KEY, ID, R.Work.MESSAGE, 0, SECRET, body=SECRET, attempts=(R.Attempt(1, 1, KEY),)),
    R.Package(KEY, KEY, SECRET, 1, True),
    R.PendingWelcome(1, SECRET, KEY, 1, KEY),
    R.PendingBox(1, KEY, KEY, SECRET),
    R.Anchor(KEY, 1, 1, 5, KEY, 1, 2, ((KEY, 4),), "title", KEY, SECRET, (KEY,)),
    R.Identity(KEY, SECRET, SECRET, SECRET, KEY, KEY, "anna", SECRET),
    R.InboxCursor(1, 5, KEY),
    R.Contact(KEY, "anna", True),
    R.KnownList(KEY, SECRET),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_comes_back(row: msgspec.Struct) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=type(row)) == row


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_keys_and_words_do_not_show(row: msgspec.Struct) -> None:
    if isinstance(row, (R.Identity, R.Package, R.Outgoing, R.PendingBox, R.Anchor)):
        assert repr(row) == f"{type(row).__name__}(…)"


def test_rows_of_an_earlier_version_are_read() -> None:
    """Fields are only ever added, with a default."""
    old = {"topic": KEY, "kind": 1, "status": 3, "cursor": 4}
    talk = msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=R.Conversation)
    assert (talk.cursor, talk.left, talk.lost_at, talk.gap_at) == (4, (), 0, 0)
    anchor = msgspec.msgpack.encode([KEY, 1, 1, 5, KEY, 1, 2, [], "", KEY, SECRET])
    assert msgspec.msgpack.decode(anchor, type=R.Anchor).left == ()


def test_numbers_in_vaults_never_change_their_meaning() -> None:
    assert [(status.name, int(status)) for status in R.Status] == [
        ("FOUNDING", 1), ("WAITING", 2), ("ACTIVE", 3), ("LOCKED", 4), ("REMOVED", 5), ("LEFT", 6),
        ("REQUEST", 7),
    ]  # fmt: skip
    assert [(work.name, int(work)) for work in R.Work] == [
        ("MESSAGE", 1), ("COMMIT", 2), ("BOX", 3), ("LEAVE", 4), ("POST", 5)
    ]  # fmt: skip


def test_defaults_are_not_shared() -> None:
    one, other = (R.Conversation(KEY, 1, R.Status.ACTIVE) for _ in range(2))
    one.roster[KEY] = 1
    assert other.roster == {}
