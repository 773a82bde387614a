"""Reading data for evaluations."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from extensions.ranking.datasets import DataError, load
from extensions.ranking.events import Post, Signal
from tests.extensions.ranking import films
from tests.extensions.ranking.worlds import ANN, BOB


def test_movielens_in_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    films.write(path)
    data = load(path, "movielens")
    times = [one.at_ms for one in data.interactions]
    assert times == sorted(times)
    assert data.readers == 30
    assert len(data.items) == len({one.item for one in data.interactions}) == 48
    assert len({post.author for post in data.items}) == 48
    assert {one.liked for one in data.interactions} == {True, False}


def test_equal_times_stay_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("1\t9\t5\t100\n1\t3\t5\t100\n1\t7\t5\t50\n")
    data = load(path, "movielens")
    assert [data.items[one.item].id for one in data.interactions] == [b"film7", b"film9", b"film3"]


@pytest.mark.parametrize("line", ["1\t2\t3\n", "1\t2\t3\tx\n", "1 2 3 4\n"])
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "u.data"
    path.write_text("1\t9\t5\t100\n" + line)
    with pytest.raises(DataError, match="line 2"):
        load(path, "movielens")


def test_a_log_of_events_each_pair_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = [
        Post(b"p", b"a", 1),
        Post(b"p", b"a", 1),
        Signal(ANN, b"p", "view", 1.0, 2),
        Signal(BOB, b"p", "share", 1.0, 9),
        Signal(ANN, b"p", "like", 1.0, 3),
        Signal(ANN, b"p", "share", 1.0, 4),
        Signal(ANN, b"gone", "like", 1.0, 5),
    ]
    path.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in events))
    data = load(path, "events")
    assert [(one.reader, one.item, one.at_ms, one.liked) for one in data.interactions] == [
        (1, 0, 3, True),
        (0, 0, 9, False),
    ]
    path.write_text("{}\n")
    with pytest.raises(DataError, match="line 1"):
        load(path, "events")
