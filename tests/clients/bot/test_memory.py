"""What a bot keeps is there after a restart, and only what is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.bot import memory as M
from clients.bot.bounds import POSTED_KEPT_MS, VALUE_BYTES_MAX
from tests.clients.bot.support import ALICE, NOW_MS, OTHER_TOPIC, TOPIC, open_alone

ROWS: dict[str, M.Row] = {
    M.ATTEMPTS: M.Attempt(b"task", 2, NOW_MS),
    M.DEAD: M.Dead(7, 3, TOPIC, b"i" * 16, "handler", 3, "ValueError: no", NOW_MS, None),
    M.DIALOGS: M.Dialog(TOPIC, ALICE, "asking", b"\x80"),
    M.VALUES: M.Value(TOPIC, "name", b"\x01"),
    M.TIMERS: M.Timer(b"t" * 16, NOW_MS, TOPIC, "ring", b"\xc0"),
    M.POSTED: M.Posted(b"key", NOW_MS),
    M.CURSORS: M.Cursor(TOPIC, 12),
}


async def test_rows_are_there_after_a_restart(tmp_path: Path) -> None:
    assert ROWS.keys() == M.TABLES.keys()
    async with open_alone(tmp_path) as (_, memory):
        assert memory.floor is None
        memory.begin(10)
        for place, row in ROWS.items():
            memory.put(place, row.key, row)
    async with open_alone(tmp_path) as (_, memory):
        assert memory.floor == 10
        for place, row in ROWS.items():
            assert memory.rows(place) == {row.key: row}
        assert memory.statistics() == M.MemoryStatistics(retrying=1, dead=1, dialogs=1, values=1, timers=1)
        assert memory.next_dead() == 8
        for place, row in ROWS.items():
            memory.put(place, row.key, None)
            memory.put(place, row.key, None)  # a row that is not there is deleted without a write
        assert memory.next_dead() == 1
    async with open_alone(tmp_path) as (_, memory):
        assert not any(memory.rows(place) for place in ROWS)


async def test_where_each_conversation_is(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (client, memory):
        assert memory.cursor(TOPIC) == 0
        memory.begin(5)
        memory.put(M.ATTEMPTS, (9).to_bytes(8, "big"), M.Attempt((9).to_bytes(8, "big"), 1, NOW_MS))
        memory.advance(TOPIC, 9)
        assert (memory.cursor(TOPIC), memory.cursor(OTHER_TOPIC)) == (9, 5)
        assert not memory.attempts  # what is done is not tried again
        asked = iter([7, 7, 6])
        for wanted in (7, 7, 7):  # the floor never sinks
            memory.save_floor(lambda: next(asked))
            await client.engine.shelf.journal.flushed()
            assert memory.floor == wanted
    async with open_alone(tmp_path) as (_, memory):
        assert (memory.floor, memory.cursor(TOPIC)) == (7, 9)
        memory.begin(9)
    async with open_alone(tmp_path) as (_, memory):
        memory.prune(NOW_MS)
        assert not memory.cursors  # the floor says it all
        assert memory.cursor(TOPIC) == 9


async def test_keys_of_posts_are_forgotten_after_a_week(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (_, memory):
        memory.put(M.POSTED, b"old", M.Posted(b"old", NOW_MS - 1))
        memory.put(M.POSTED, b"new", M.Posted(b"new", NOW_MS + 1))
        memory.prune(NOW_MS + POSTED_KEPT_MS)
        assert list(memory.posted) == [b"new"]


def test_values_are_plain_and_bounded() -> None:
    assert M.encode_value({"a": [1, None, b"x", 2.5]})
    with pytest.raises(TypeError, match="only plain values can be kept"):
        M.encode_value(object())
    with pytest.raises(ValueError, match=f"at most {VALUE_BYTES_MAX} can be kept"):
        M.encode_value("x" * VALUE_BYTES_MAX)


def test_the_base_has_no_name() -> None:
    with pytest.raises(NotImplementedError):
        _ = M.Row().key
