"""The newest login wins, however late another arrives."""

from __future__ import annotations

import pytest

from protocol.errors import Code, Reason
from protocol.limits import ID_AHEAD_MS_MAX
from storage.base import Append, Refused
from storage.facts import Facts
from storage.logins import late, next_login

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


def test_processes_of_a_worker_share_a_login() -> None:
    assert next_login(7, 9, 100, shared=True) == 7
    assert next_login(0, 9, 100, shared=True) == 9


@pytest.mark.parametrize(
    ("login", "lease", "reason"),
    [(2, None, Reason.SUPERSEDED), (3, None, None), (3, 4, Reason.FENCED), (3, 6, Reason.FENCED), (3, 5, None)],
)
def test_what_comes_too_late(login: int, lease: int | None, reason: Reason | None) -> None:
    key = b"k" * 32
    intent = Append(
        account=key, device=key, login=login, topic=key, id=key[:16], digest=key, after=None, flags=0, epoch=None,
        expect=None, ttl=0, header=b"", body=b"", lease=lease,
    )  # fmt: skip
    refused = late(Facts(None, None, 3, True, 0, None, True, lease=5), intent)
    assert (refused.reason if refused is not None else None) == reason
