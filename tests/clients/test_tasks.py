"""Nurseries whose errors come out as themselves."""

from __future__ import annotations

import pytest
import trio

from clients.tasks import leaves, open_tasks, sole, surfaced


class _Ended(Exception):
    """How a connection ends."""


async def _fail(error: Exception) -> None:
    raise error


async def _run(*errors: Exception, among: tuple[type[BaseException], ...] = (), own: Exception | None = None) -> None:
    """Tasks that fail, beside a body that may fail itself."""
    async with open_tasks(among) as nursery:
        for error in errors:
            nursery.start_soon(_fail, error)
        if own is not None:
            raise own


async def test_one_failure_comes_out_as_itself() -> None:
    with pytest.raises(_Ended, match="gone"):
        await _run(_Ended("gone"))


async def test_several_of_the_expected_kinds_come_out_as_the_first() -> None:
    with pytest.raises((_Ended, OSError)):
        await _run(_Ended("reader"), OSError("writer"), among=(_Ended, OSError))


async def test_several_of_other_kinds_stay_a_group() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await _run(_Ended("reader"), ValueError("a bug"), among=(_Ended,))
    assert {type(error) for error in leaves(caught.value)} == {_Ended, ValueError}


async def test_the_bodys_own_error_comes_out_as_itself_too() -> None:
    with pytest.raises(LookupError, match="mine"):
        await _run(own=LookupError("mine"))


async def test_no_error_no_noise() -> None:
    async with open_tasks() as nursery:
        nursery.start_soon(trio.lowlevel.checkpoint)


def test_nested_groups_are_seen_through() -> None:
    inner = _Ended("deep")
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [inner])])
    assert sole(group) is inner
    assert sole(inner) is inner
    assert list(leaves(inner)) == [inner]


def test_beside_a_cancellation_the_end_of_a_connection_is_no_news() -> None:
    class Cancelled(Exception):
        """Stands for trio's, which cannot be made."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio, "Cancelled", Cancelled)
        cancelled, ended = Cancelled(), _Ended("gone")
        found = surfaced(ExceptionGroup("both", [cancelled, ended]), (_Ended,))
        assert list(leaves(found)) == [cancelled]
        both = ExceptionGroup("both", [cancelled, ValueError("a bug")])
        assert surfaced(both, (_Ended,)) is both
