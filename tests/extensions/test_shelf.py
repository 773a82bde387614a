"""What a worker keeps in memory: what is in use, of its slots; and where its rows lie."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from clients import records as R
from clients.events import Joined, Received
from extensions.shelf import WorkerShelf
from extensions.store import WorkerVault, place_of
from protocol.identity import open_signed
from protocol.ids import inbox_topic, slot_inbox
from tests.support.workers import database


def make(vault: WorkerVault, told: list[Any] | None = None) -> WorkerShelf:
    found: list[Any] = [] if told is None else told
    return WorkerShelf(vault, found.extend, lambda: 1000, os.urandom)


def topic(slot: int) -> bytes:
    return bytes([slot]) + b"t" * 31


async def test_rows_lie_in_their_slots_tables(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        vault.claim({1: 1, 2: 1})
        shelf = make(vault)
        shelf.begin_block(1 << 32)
        shelf.save(R.Conversation(topic(1), 1, R.Status.ACTIVE, title="one"))
        foreign = inbox_topic(b"x" * 32)
        places = (topic(2), b"\xff" + foreign[1:])
        rows = [R.Outgoing(shelf.next_number(), place, b"i" * 16, R.Work.MESSAGE, 0) for place in places]
        for row in rows:
            shelf.save_outgoing(row)
        welcome = R.PendingWelcome(shelf.next_number(), b"", topic(1), 1, b"b")
        shelf.save_welcome(welcome)
        shelf.select(slot_inbox(shelf.account, 2))
        box = R.PendingBox(shelf.next_number(), b"a", b"d", b"c")
        shelf.save_box(box)
        shelf.inbox.cursor = 7
        shelf.save_inbox()
        shelf.save_list(open_signed(shelf.identity.signed_list), shelf.identity.signed_list)
        await shelf.journal.commit()
        again = make(vault)
        assert again.conversations[topic(1)].title == "one"
        assert again.rows(R.OUTBOX, 2, R.Outgoing) == [rows[0]]
        assert again.rows(R.OUTBOX, 1, R.Outgoing) == [rows[1]]  # of nobody's slot: of the first that is ours
        assert again.rows(R.WELCOMES, 1, R.PendingWelcome) == [welcome]
        assert again.rows(R.BOXES, 2, R.PendingBox) == [box]
        assert again.cursor(slot_inbox(shelf.account, 2)).cursor == 7
        assert again.cursor(slot_inbox(shelf.account, 1)).cursor == 0
        assert again.lists[shelf.account].version == 1
        assert again.lists.get(b"nobody") is None
        assert again.main_inbox == inbox_topic(shelf.account)
        for row in rows:
            shelf.drop_outgoing(row)
        shelf.drop_welcome(welcome)
        shelf.drop_box(box)
        await shelf.journal.commit()
        assert vault.places(R.OUTBOX) == vault.places(R.WELCOMES) == vault.places(R.BOXES) == {}


async def test_only_what_is_ours_is_read_and_slots_are_forgotten(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        vault.claim({1: 1})
        shelf = make(vault)
        shelf.begin_block(1 << 32)
        shelf.save(R.Conversation(topic(1), 1, R.Status.ACTIVE))
        shelf.window(shelf.conversations[topic(1)])
        shelf.save_outgoing(R.Outgoing(shelf.next_number(), topic(1), b"i" * 16, R.Work.MESSAGE, 0))
        shelf.cursor(slot_inbox(shelf.account, 1))
        assert shelf.groups.get(topic(1)) is None
        await shelf.journal.commit()
        vault.let_go([1])
        assert topic(1) in shelf.conversations
        shelf.forget_slots([1])
        assert topic(1) not in shelf.conversations
        assert (shelf.outgoing, shelf.windows, shelf.groups.loaded) == ({}, {}, 0)
        assert vault.places(R.CONVERSATIONS) == {1: 1}


async def test_what_was_not_used_for_longest_goes_but_nothing_unwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extensions.bounds.ROWS_LOADED", 1)
    monkeypatch.setattr("extensions.bounds.GROUPS_LOADED", 1)
    with database(tmp_path) as vault:
        vault.claim(dict.fromkeys(range(4), 1))
        shelf = make(vault)
        for slot in range(3):
            shelf.save(R.Conversation(topic(slot), 1, R.Status.ACTIVE))
            shelf.window(shelf.conversations[topic(slot)])
            shelf.groups.get(topic(slot))
        shelf._signed_lists.update({topic(slot): b"signed" for slot in range(3)})
        shelf.trim()
        assert list(shelf._signed_lists) == [topic(2)]
        assert len(shelf.conversations) == 3
        assert (len(shelf.windows), shelf.groups.loaded) == (1, 1)
        await shelf.journal.commit()
        assert len(shelf.conversations) == 1
        assert shelf.conversations[topic(0)].topic == topic(0)


async def test_messages_become_jobs_and_other_news_are_told(tmp_path: Path) -> None:
    told: list[Any] = []
    heard: list[Received] = []
    with database(tmp_path) as vault:
        vault.claim({1: 1})
        shelf = make(vault, told)
        shelf.journal.heard = heard.append
        k = b"k" * 32
        shelf.journal.tell(Received(topic=topic(1), offset=1, id=k[:16], account=k, device=k, ts=1, content=b""))
        shelf.journal.tell(Joined(topic=topic(1), by=k, members=()))
        shelf.journal.write([lambda db: db.execute("CREATE TABLE mine (x)")])
        await shelf.journal.commit()
        assert (len(heard), [type(event) for event in told]) == (1, [Joined])
        assert vault.query("SELECT * FROM mine") == []
        assert vault.events(0, 10) == []


async def test_key_packages_of_any_process(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        one, other = make(vault), make(vault)
        one.save_package(R.Package(b"ref", b"public", b"private", 5, True))
        assert [package.ref for package in one.packages.values()] == [b"ref"]
        await one.journal.commit()
        assert b"ref" in other.packages
        assert 5 not in other.packages  # type: ignore[comparison-overlap]
        assert [package.ref for package in other.packages.values()] == [b"ref"]
        other.drop_package(b"ref")
        await other.journal.commit()
        assert b"ref" not in make(vault).packages
        assert place_of("a", 1) == "a/01"
