"""What is seen of a worker from outside."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from extensions.errors import WorkerError
from extensions.letters import content_of, decide, find, letters, look, names, opened
from extensions.rows import DEAD, ITEMS, ORDERS, Dead, Item, Order
from extensions.store import WorkerBatch, place_of
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.messages.ext import Request
from tests.support.workers import database


def item(number: int, content: bytes = b"", attempts: int = 0) -> Item:
    return Item(number, b"\x05" * 32, number, b"i" * 16, b"a" * 32, b"d" * 32, 1000 + number, content, "", attempts)


def fill(home: Path) -> None:
    with database(home) as vault:
        vault.claim({5: 1})
        batch = WorkerBatch()
        for number, attempts in ((1, 0), (2, 3)):
            batch.put(place_of(ITEMS, 5), item(number).name, msgspec.msgpack.encode(item(number, b"", attempts)))
        for number, content in ((3, compose(Request(method="roll"))), (4, b"no content"), (5, compose(Text(text="x")))):
            letter = Dead(item(number, content, 2), "roll", "ValueError: no", 5)
            batch.put(place_of(DEAD, 5), letter.item.name, msgspec.msgpack.encode(letter))
        vault.commit([batch])


def test_figures_and_letters(tmp_path: Path) -> None:
    fill(tmp_path)
    assert names(tmp_path) == ["worker"]
    seen = look(tmp_path, "worker")
    assert (seen.depth, seen.oldest_ms, seen.retrying, seen.attempts, seen.dead) == (2, 1001, 1, 3, 3)
    assert not seen.running
    with opened(tmp_path, "worker") as vault:
        assert [letter.item.number for letter in letters(vault)] == [3, 4, 5]
        assert json.loads(content_of(find(vault, 3)))["method"] == "roll"
        assert "malformed" in content_of(find(vault, 4))
        with pytest.raises(WorkerError, match=r"\[3, 4, 5\]"):
            find(vault, 9)
        decide(vault, 4, skip=True)
        (order,) = [msgspec.msgpack.decode(value, type=Order) for value in vault.scan(ORDERS)]
        assert order == Order(4, 5, True)
        assert look(tmp_path, "worker").running


def test_no_such_worker(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="none"), opened(tmp_path, "worker"):
        pass
