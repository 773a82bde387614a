"""The durable inbox: in line, tried again, set aside, moved with its slot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clients.events import Received
from extensions.items import Items, Waiting
from extensions.rows import DEAD, ITEMS, Order
from extensions.shelf import WorkerShelf
from extensions.store import WorkerVault
from protocol.messages.chat import Text
from tests.support.workers import database

K = b"k" * 32
BODY = Text(text="x")


def topic(slot: int) -> bytes:
    return bytes([slot]) + b"t" * 31


def said(slot: int, offset: int, *, mine: bool = False, account: bytes = K) -> Received:
    message_id = offset.to_bytes(16, "big")
    return Received(
        topic=topic(slot), offset=offset, id=message_id, account=account, device=K, ts=100 + offset, content=b"x",
        mine=mine,
    )  # fmt: skip


def make(vault: WorkerVault) -> tuple[Items, WorkerShelf, list[Waiting]]:
    vault.claim({1: 1, 2: 1})
    shelf = WorkerShelf(vault, lambda told: None, lambda: 1000, os.urandom)
    shelf.begin_block(1 << 32)
    ready: list[Waiting] = []
    return Items(shelf, lambda event: BODY if event.offset < 100 else None, ready.append), shelf, ready


async def test_a_job_is_ready_when_it_is_durable(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        items, shelf, ready = make(vault)
        for event in (said(1, 1), said(1, 200), said(1, 2, mine=True), said(1, 3, account=shelf.account)):
            shelf.journal.tell(event)
        assert (len(items), ready) == (1, [])
        await shelf.journal.commit()
        (waiting,) = ready
        item = items.read(waiting)
        assert (item.offset, item.attempts) == (1, 0)
        assert vault.places(ITEMS) == {1: 1}
        figures = items.statistics()
        assert (figures.depth, figures.oldest_ms, figures.retrying, figures.dead) == (1, 101, 0, 0)
        items.retry(waiting, item, 1, 2000)
        assert items.statistics().retrying == 1
        assert items.read(waiting).retry_at_ms == 2000
        items.done(item)
        await shelf.journal.commit()
        assert (vault.places(ITEMS), items.is_ours(waiting)) == ({}, False)


async def test_dead_letters_come_back_or_go(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        items, shelf, ready = make(vault)
        for offset in (1, 2):
            shelf.journal.tell(said(1, offset))
        await shelf.journal.commit()
        numbers = []
        for waiting in list(ready):
            item = items.read(waiting)
            numbers.append(item.number)
            items.bury(item, "roll", 3, "no", 5)
        await shelf.journal.commit()
        assert (vault.places(DEAD), items.statistics().dead) == ({1: 2}, 2)
        assert not items.obey(Order(numbers[0], 9, False))
        assert items.obey(Order(numbers[0], 1, True))
        assert items.obey(Order(numbers[1], 1, False))
        await shelf.journal.commit()
        assert items.obey(Order(numbers[1], 1, False))  # done already
        assert (vault.places(DEAD), vault.places(ITEMS), items.statistics().dead) == ({}, {1: 1}, 0)
        assert items.read(ready[-1]).attempts == 0


async def test_slots_move_with_what_waits_in_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.bounds.ITEMS_KEPT", 1)
    with database(tmp_path) as vault:
        items, shelf, ready = make(vault)
        for slot in (1, 2, 2):
            shelf.journal.tell(said(slot, len(items) + 1))
        await shelf.journal.commit()
        dead = items.read(ready[2])
        assert (ready[0].item is None, ready[1].item is None) == (False, True)
        items.bury(dead, "roll", 1, "no", 5)
        items.retry(ready[1], items.read(ready[1]), 1, 7)
        await shelf.journal.commit()
        shelf.journal.tell(said(1, 9))
        items.forget([1])
        await shelf.journal.commit()
        assert len(ready) == 3  # what was given away meanwhile does not begin here
        again, _, found = make(vault)
        again.load([1, 2])
        assert [waiting.topic[0] for waiting in found] == [1, 2, 1]
        assert again.statistics().dead == 1
        assert found[1].attempts == 1
        again.done(again.read(found[1]))
        shelf.journal.put(f"{ITEMS}/02", found[1].number.to_bytes(8, "big"), None)
        await shelf.journal.commit()
        with pytest.raises(LookupError):
            again.read(found[1])


async def test_a_conversation_of_which_nothing_is_to_stay(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        items, shelf, ready = make(vault)
        for slot in (1, 1, 2, 2):
            shelf.journal.tell(said(slot, len(items) + 1))
        await shelf.journal.commit()
        for waiting in (ready[0], ready[3]):
            items.bury(items.read(waiting), "roll", 1, "no", 5)
        await shelf.journal.commit()
        items.drop(topic(1))
        await shelf.journal.commit()
        assert (vault.places(ITEMS), vault.places(DEAD)) == ({2: 1}, {2: 1})
        assert [items.is_ours(waiting) for waiting in ready] == [False, False, True, False]
        assert (len(items), items.statistics().dead) == (1, 1)
        items.drop(b"\2" + b"u" * 31)  # another conversation of that slot
        await shelf.journal.commit()
        assert (vault.places(ITEMS), vault.places(DEAD)) == ({2: 1}, {2: 1})
