"""How far learning is behind."""

from __future__ import annotations

from extensions.ranking.lag import Lag


def test_the_oldest_that_waits_counts() -> None:
    lag = Lag()
    assert lag.age_ms(1_000) == 0, "nobody has looked yet, nothing is known to wait"
    lag.looked(1_000)
    assert lag.age_ms(1_250) == 250, "anything may have come since"
    lag.waits(3, 400)
    lag.waits("readers", 300)
    assert lag.age_ms(1_300) == 1_000
    lag.waits("readers", 900)
    assert lag.age_ms(1_300) == 900
    lag.done(3)
    lag.done("readers")
    lag.done("readers")
    lag.looked(1_300)
    assert lag.age_ms(1_300) == 0
    assert lag.age_ms(1_200) == 0, "a clock that was set back"
