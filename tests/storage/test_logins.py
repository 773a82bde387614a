"""The newest login wins, however late another arrives."""

from __future__ import annotations

import pytest

from protocol.errors import Code, Reason
from protocol.limits import ID_AHEAD_MS_MAX
from storage.base import Refused
from storage.logins import next_login

NOW_MS = 1_750_000_000_000


@pytest.mark.parametrize(
    ("last", "number", "recorded"),
    [(0, 0, 1), (7, 0, 8), (7, 8, 8), (7, NOW_MS, NOW_MS), (7, NOW_MS + ID_AHEAD_MS_MAX, NOW_MS + ID_AHEAD_MS_MAX)],
)
def test_a_newer_login_is_recorded(last: int, number: int, recorded: int) -> None:
    assert next_login(last, number, NOW_MS) == recorded


def test_one_above_the_last_is_never_too_far_ahead() -> None:
    last = NOW_MS + 2 * ID_AHEAD_MS_MAX
    assert next_login(last, last + 1, NOW_MS) == last + 1


@pytest.mark.parametrize("number", [1, 6, 7])
def test_a_late_login_is_refused_and_told_the_last(number: int) -> None:
    refusal = next_login(7, number, NOW_MS)
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.reason, refusal.offset, refusal.retry_ms) == (
        Code.CONFLICT, Reason.SUPERSEDED, 7, 0,
    )  # fmt: skip


def test_a_number_of_a_clock_that_is_far_ahead_is_refused() -> None:
    refusal = next_login(7, NOW_MS + ID_AHEAD_MS_MAX + 1, NOW_MS)
    assert isinstance(refusal, Refused)
    assert (refusal.code, refusal.retry_ms) == (Code.FRAME, None)
