"""The history checker: it must see every way in which a history can be wrong."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from relay.demo.judge import Verdict, files_with, judge, memory_holds, percentile
from relay.demo.processes import Line

SAID = {"a": ["a1", "a2"], "b": ["b1"]}
ALL = ["a1", "a2", "b1"]


def history(*ids: str) -> list[Line]:
    """Lines as a member was told them, at offsets in that order."""
    return [Line(n, n, i, i[0], "text") for n, i in enumerate(ids, start=1)]


def test_a_history_that_is_right() -> None:
    heard = {"x": history("a1", "b1", "a2"), "y": history("a1", "b1", "a2")}
    assert judge(SAID, ALL, heard) == Verdict(3, 3, 6, 0, 0, 0, 1)
    assert judge(SAID, ALL, heard).ok


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (history("a1", "b1"), "lost"),
        (history("a1", "b1", "a2", "a1"), "duplicated"),
        (history("a2", "b1", "a1"), "swapped"),
    ],
)
def test_a_history_that_is_wrong_is_seen(wrong: list[Line], field: str) -> None:
    verdict = judge(SAID, ALL, {"x": wrong})
    assert getattr(verdict, field) > 0
    assert not verdict.ok


def test_two_members_with_two_orders_are_seen() -> None:
    verdict = judge(SAID, ALL, {"x": history("a1", "b1", "a2"), "y": history("b1", "a1", "a2")})
    assert verdict.orders == 2
    assert not verdict.ok


def test_offsets_that_go_back_are_seen() -> None:
    lines = [Line(1, 5, "a1", "a", ""), Line(2, 4, "b1", "b", ""), Line(3, 6, "a2", "a", "")]
    assert judge(SAID, ALL, {"x": lines}).swapped == 1


def test_what_was_said_and_never_acknowledged_may_be_missing() -> None:
    assert judge(SAID, ["a1", "b1"], {"x": history("a1", "b1")}).ok


def test_a_message_whose_sender_died_before_it_could_tell_the_id_is_no_swap() -> None:
    assert judge(SAID, ALL, {"x": history("a1", "b1", "a9", "a2")}).ok


def test_percentiles() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_files_are_searched_with_all_their_folders(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one").write_bytes(b"xxneedlexx")
    (tmp_path / "two").write_bytes(b"nothing")
    assert files_with(b"needle", tmp_path) == ["one"]


def test_memory_is_searched() -> None:
    needle = os.urandom(24)
    assert memory_holds(needle, os.getpid()) is True
    assert memory_holds(b"x", 2**22 - 1) is None  # no such process


def test_what_is_not_in_memory_is_not_found() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            assert memory_holds(os.urandom(24), other.pid) is False
            assert memory_holds(b"sleep", other.pid) is True
        finally:
            other.kill()
