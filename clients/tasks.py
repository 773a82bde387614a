"""Nurseries whose errors come out as themselves.

trio reports what tasks raise as exception groups, since several may fail at once. Here one failure is the rule, and
two tasks that notice the end of the same socket in one moment are the exception; callers want the error, not a group.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import trio


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however nested; the exception itself if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from leaves(part)
    else:
        yield error


def sole(error: BaseException, among: tuple[type[BaseException], ...] = ()) -> BaseException:
    """The one exception that a group stands for: its only leaf, or the first if all are of the types ``among``.

    Any other group comes back as it is.
    """
    found = list(leaves(error))
    if len(found) == 1 or (among and all(isinstance(leaf, among) for leaf in found)):
        return found[0]
    return error


def surfaced(group: BaseExceptionGroup[BaseException], among: tuple[type[BaseException], ...] = ()) -> BaseException:
    """What leaves a nursery whose tasks ended as ``group``.

    Where it was cancelled while something ended with an error of ``among``, that error is no news to anybody: only the
    cancellation goes on. Else as ``sole`` says.
    """
    cancelled, rest = group.split(trio.Cancelled)
    if cancelled is not None and rest is not None and all(isinstance(leaf, among) for leaf in leaves(rest)):
        return cancelled
    return sole(group, among)


@asynccontextmanager
async def open_tasks(among: tuple[type[BaseException], ...] = ()) -> AsyncIterator[trio.Nursery]:
    """A nursery; a group of errors leaves it as ``surfaced`` says."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        error = surfaced(group, among)
        if error is group:
            raise
        raise error from error.__cause__
