"""Where a bug stops."""

from __future__ import annotations

import logging

import pytest
import trio

from relay.boundary import Boundary


def test_a_bug_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with caplog.at_level(logging.ERROR), Boundary("publish", lambda: told.append("failed")):
        raise ValueError("two\nlines")
    assert told == ["failed"]
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert record.getMessage().startswith("failed what=publish")


def test_nothing_happened() -> None:
    told: list[str] = []
    with Boundary("publish", lambda: told.append("failed")):
        pass
    assert told == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exits_pass_through(error: type[BaseException]) -> None:
    told: list[str] = []
    with pytest.raises(error), Boundary("publish", lambda: told.append("failed")):
        raise error
    assert told == []


async def test_cancellation_passes_through() -> None:
    told: list[str] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        with Boundary("publish", lambda: told.append("failed")):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert told == []
