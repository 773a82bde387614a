"""When what failed is tried again, and what is said of it."""

from __future__ import annotations

import pytest

from clients.bot.retry import back_off_s, said_of, trace_of


@pytest.mark.parametrize(("count", "wait"), [(1, 1.0), (2, 5.0), (3, 5.0), (4, None), (9, None)])
def test_back_off(count: int, wait: float | None) -> None:
    assert back_off_s(count, 4, (1.0, 5.0)) == wait


def test_what_is_said() -> None:
    assert said_of(ValueError("x")) == "ValueError: x"
    assert len(said_of(ValueError("x" * 1000))) == 500


def test_our_own_frames_are_left_out() -> None:
    def inner() -> None:
        raise ValueError("deep")

    with pytest.raises(ValueError, match="deep") as caught:
        inner()
    error = caught.value
    assert "in inner" in trace_of(error, ("nowhere.",))
    assert "test_our_own" in trace_of(error, ("nowhere.",))
    assert "test_our_own" not in trace_of(error, (__name__,))
