"""Workers beside a relay: started, started again, given up, ended; and what is said of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from relay import doctor, metrics, ops, workers
from relay.run import open_running
from relay.slots import GroupStatistics
from relay.testing import small
from relay.workers import EXIT_REFUSED, Workers, command_of
from storage.leases import Lag

LASTS = "import sys; sys.stdin.read()"


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Python that runs in place of workers, by name."""
    found: dict[str, str] = {}
    monkeypatch.setattr(workers, "command_of", lambda name, url, data: [sys.executable, "-c", found[name]])
    monkeypatch.setattr(workers, "WORKER_BACK_OFF_S", 0.01)
    return found


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - processes have no event for it
            await trio.sleep(0.01)


def test_the_command() -> None:
    command = command_of("dice", "ws://h/ws", Path("d"))
    assert command[1:4] == ["worker", "run", "dice"]
    assert command[-3:] == ["--data", str(Path("d") / "workers"), "--beside"]


async def test_one_that_dies_is_started_again_and_then_given_up(tmp_path: Path, programs: dict[str, str]) -> None:
    programs |= {"bad": "raise SystemExit(7)", "good": LASTS, "unfit": f"raise SystemExit({EXIT_REFUSED})"}
    beside = Workers(["bad", "good", "unfit", "good"], "ws://h/ws", tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside.run)
        await until(lambda: all(state.down for state in beside.states() if state.name != "good"))
        bad, good, unfit = beside.states()
        assert (bad.restarts, unfit.restarts, good.restarts) == (4, 0, 0)
        assert "died 5 times" in bad.down
        assert "cannot run" in unfit.down
        await until(lambda: beside.states()[1].pid)
        await beside.stop()
        await until(lambda: not beside.states()[1].pid)


async def test_deaths_long_ago_do_not_count(
    tmp_path: Path, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "WORKER_RESTARTS_S", 0.0)
    programs["bad"] = "raise SystemExit(7)"
    beside = Workers(["bad"], "ws://h/ws", tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside.run)
        await until(lambda: beside.states()[0].restarts > 6)
        nursery.cancel_scope.cancel()


async def test_a_command_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "command_of", lambda name, url, data: [str(tmp_path / "none")])
    beside = Workers(["x"], "ws://h/ws", tmp_path)
    await beside.run()
    assert beside.states()[0].down


async def test_readyz_doctor_and_metrics_say_so(tmp_path: Path, programs: dict[str, str]) -> None:
    programs |= {"unfit": f"raise SystemExit({EXIT_REFUSED})", "good": LASTS}
    settings = small(data=str(tmp_path))
    async with open_running(settings, ["unfit", "good"]) as running:
        await until(lambda: running.workers.states()[0].down and running.workers.states()[1].pid)
        ready = ops.readiness(running.node)
        assert ready["ready"]
        assert "the worker unfit is down" in str(ready["reasons"])
        found = {check.name: check.status for check in await doctor.running(settings)}
        assert (found["worker unfit"], found["worker good"]) == (doctor.FAIL, doctor.OK)
        assert b"chappe_workers_down 1.0" in metrics.exposition(running.node)
    body = json.dumps({"workers": [{"name": "x", "pid": 1, "restarts": 2, "down": ""}]}).encode()
    assert [check.status for check in doctor.workers(body)] == [doctor.WARN]


def test_labels_are_bounded() -> None:
    groups = [GroupStatistics(bytes([n]) * 32, 1, 256, 10, 0, Lag(1, n)) for n in range(40)]
    (lag,) = [metric for metric in metrics.worker_gauges(groups) if metric.name == "chappe_worker_lag_entries"]
    assert len(lag.samples) == 33
    assert (lag.samples[-1].labels["worker"], lag.samples[-1].value) == ("other", sum(range(32, 40)))
    assert all(len(metric.samples) == 1 for metric in metrics.worker_gauges(groups[:1]))
