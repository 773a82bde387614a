"""Waiting for what happens in sockets and other processes, where nothing can be awaited."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import trio

TIMEOUT_S: Final = 15.0
_LOOK_S: Final = 0.005


async def until(condition: Callable[[], bool], timeout_s: float = TIMEOUT_S) -> None:
    """Look again and again. Raises `trio.TooSlowError` where it does not come true."""
    with trio.fail_after(timeout_s):
        for _ in itertools.count():
            if condition():
                return
            await trio.sleep(_LOOK_S)
