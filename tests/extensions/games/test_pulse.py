"""The referee's time, and until when it was there."""

from __future__ import annotations

from pathlib import Path

from extensions.games.pulse import Pulse, RefereeClock


def test_time_only_goes_forward() -> None:
    wall, monotonic = [1_000_000], [5_000_000_000]
    clock = RefereeClock(lambda: wall[0], lambda: monotonic[0])
    assert clock.now_ms() == 1_000_000
    wall[0] -= 999_999
    monotonic[0] += 1_500_000
    assert clock.now_ms() == 1_000_001
    assert RefereeClock(lambda: 5).now_ms() >= 5


def test_the_pulse_outlives_its_process(tmp_path: Path) -> None:
    pulse = Pulse(tmp_path / "pulse")
    assert pulse.last_ms() == 0
    pulse.beat(123_456_789)
    pulse.beat(123_456_790)
    again = Pulse(tmp_path / "pulse")
    assert again.last_ms() == 123_456_790
    pulse.close()
    again.close()
