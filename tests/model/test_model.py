"""The models say what the table states: broken rules are caught, the design holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.model.__main__ import main, report
from tests.model.checker import Step, Verdict, explore
from tests.model.table import DELIVERY, PUBLISH, TABLES, Run

RUNS = [
    pytest.param(run, id=f"{half}: {run.name}", marks=() if run.fast else pytest.mark.long)
    for half, runs in TABLES.items()
    for run in runs
]


@pytest.mark.parametrize("run", RUNS)
def test_a_run_of_the_table(run: Run) -> None:
    result = run.explore()
    assert run.as_expected(result), report(run, result)
    assert bool(result.trace) == (run.verdict is not Verdict.HOLDS)


def test_the_rows_are_distinct_and_the_design_is_among_them() -> None:
    for runs in (PUBLISH, DELIVERY):
        assert len({run.rules for run in runs}) == len({run.name for run in runs}) == len(runs)
        assert any(run.fast and run.kind == "proposed" for run in runs)


class Ladder:
    """Counts up to `top`; `hole` is a rung without a way on, `snake` one that is forbidden."""

    def __init__(self, top: int, hole: int = -1, snake: int = -1) -> None:
        self.top, self.hole, self.snake = top, hole, snake

    def initial(self) -> int:
        return 0

    def drained(self, state: int) -> bool:
        return state == self.top

    def successors(self, state: int) -> Iterator[Step]:
        if state < self.top and state != self.hole:
            yield Step(("from %d up", state), state + 1, "bitten" if state == self.snake else None)
        if state:
            yield Step(("from %d down", state), state - 1, fault=True)


def test_the_checker_finds_the_shortest_way_to_a_violation() -> None:
    result = explore(Ladder(5, snake=2))
    assert (result.verdict, result.what) == (Verdict.VIOLATION, "bitten")
    assert result.trace == ("from 0 up", "from 1 up", "from 2 up")


def test_a_fault_is_no_way_out_of_a_trap() -> None:
    result = explore(Ladder(5, hole=1))
    assert result.verdict is Verdict.STUCK
    assert result.states == 2


def test_what_is_too_large_is_said_to_be_truncated() -> None:
    assert explore(Ladder(50), states_max=10).verdict is Verdict.TRUNCATED
    assert explore(Ladder(50)).verdict is Verdict.HOLDS


def test_the_table_says_what_is_unexpected(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = PUBLISH[4]
    monkeypatch.setitem(TABLES, "publish", (tiny, replace(tiny, states=1)))
    assert main(["publish", "60"]) == 1
    printed = capsys.readouterr().out
    assert "P1: id" in printed
    assert printed.count("UNEXPECTED") == 1
    assert main([]) == 2
