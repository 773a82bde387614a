"""The engine's process: reads orders from its input, answers on its output, and has nothing else.

``python -m extensions.games.openspiel.child``. Before the first order it gives up what it does not need: memory beyond
a bound, files, descriptors and core dumps.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Final

import msgspec

from extensions.games.openspiel.wire import (
    Answer,
    Bad,
    Chances,
    Describe,
    Exercise,
    Games,
    Lost,
    Observe,
    Request,
    Text,
    read,
    write,
)

MEMORY_BYTES: Final = 4 << 30  # of address space: the library and its largest tables need less than half
DESCRIPTORS: Final = 16


def confine() -> None:
    """Bounds of this process, for good."""
    for what, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, DESCRIPTORS),
    ):  # fmt: skip
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main() -> None:
    """Answer until the input ends."""
    with os.fdopen(os.dup(0), "rb") as orders, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what the library prints must not look like an answer
        from extensions.games.openspiel.positions import Positions

        confine()
        positions = Positions()
        while (data := read(orders)) is not None:
            write(answers, answer(positions, msgspec.msgpack.decode(data, type=Request)))


def answer(positions: object, order: Request) -> Answer:
    """What an order comes to; the library's own errors are answers too."""
    import pyspiel

    from extensions.games.openspiel.exercise import NotEqual, exercise
    from extensions.games.openspiel.positions import Illegal, Positions, describe

    assert isinstance(positions, Positions)
    found: Answer | None
    try:
        if isinstance(order, Describe):
            found = Games(describe())
        elif isinstance(order, Exercise):
            found = exercise(positions.game(order.game), order)
        elif isinstance(order, Observe):
            seen = positions.observe(order.game, order.base, order.seat)
            found = None if seen is None else Text(seen)
        elif isinstance(order, Chances):
            found = positions.chances(order.base)
        elif order.history is not None:
            found = positions.play(order.game, order.history)
        else:
            found = None if order.step is None else positions.step(order.base, order.step)
    except Illegal as error:
        return Bad(str(error), illegal=True)
    except (pyspiel.SpielError, NotEqual, MemoryError) as error:
        return Bad(str(error)[:1000])
    return Lost() if found is None else found


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
