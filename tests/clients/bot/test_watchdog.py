"""The watchdog sees who blocks, and lets everything through unchanged."""

from __future__ import annotations

import logging
import threading

import pytest
import trio

from clients.bot.watchdog import Watchdog

LOG = logging.getLogger("chappe.bot.watched")


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_step_over_the_bound_is_named_once_with_the_place(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    dog = Watchdog(LOG, bound_s=1, clock=clock)
    looks: list[bool] = []

    async def handler() -> None:
        for seconds in (0.9, 0.2, 5):  # one uninterrupted step
            clock.now += seconds
            looks.append(dog.look())
        await trio.lowlevel.checkpoint()
        looks.append(dog.look())
        clock.now += 1.5
        looks.append(dog.look())

    await dog.watch("tests.handler", handler())
    assert looks == [False, True, False, False, True]
    assert not dog.look()  # nobody runs
    first, second = (record.getMessage() for record in caplog.records)
    assert "tests.handler has blocked the event loop for 1.1 s" in first
    assert "looks.append(dog.look())" in first
    assert "for 1.5 s" in second


async def test_time_that_a_handler_waits_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    clock = Clock()
    dog = Watchdog(LOG, bound_s=1, clock=clock)

    async def handler() -> None:
        await trio.sleep(100)

    async def look() -> None:
        await trio.sleep(50)
        clock.now += 50
        assert not dog.look()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dog.watch, "handler", handler())
        nursery.start_soon(look)


async def test_errors_and_cancellation_pass_through() -> None:
    dog = Watchdog(LOG)
    seen: list[str] = []

    async def fails() -> None:
        await trio.lowlevel.checkpoint()
        raise ValueError("no")

    async def waits() -> None:
        try:
            await trio.sleep_forever()
        finally:
            seen.append("cleaned up")

    async def catches() -> None:
        with pytest.raises(trio.TooSlowError), trio.fail_after(0):
            await trio.sleep_forever()
        seen.append("went on")

    with pytest.raises(ValueError, match="no"):
        await dog.watch("fails", fails())
    with trio.move_on_after(0) as scope:
        await dog.watch("waits", waits())
    assert scope.cancelled_caught
    await dog.watch("catches", catches())
    assert seen == ["cleaned up", "went on"]


async def test_a_thread_looks_while_it_runs() -> None:
    named = threading.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            named.set()

    ear, dog = Ear(), Watchdog(LOG, bound_s=0.001)
    LOG.addHandler(ear)

    async def blocks() -> None:
        assert named.wait(20)

    before = threading.active_count()
    with dog.running(0.001):
        assert threading.active_count() == before + 1
        await dog.watch("blocks", blocks())
    assert threading.active_count() == before
    LOG.removeHandler(ear)
