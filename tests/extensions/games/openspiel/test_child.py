"""The engine's process: what it answers, what it gives up, and that it ends with its input."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

import msgspec
import pytest

pytest.importorskip("pyspiel", reason="open-spiel has no wheel for this machine")

from extensions.games.openspiel import child, wire
from extensions.games.openspiel.positions import Positions
from extensions.games.openspiel.wire import (
    Answer,
    Bad,
    Chances,
    Describe,
    Exercise,
    Exercised,
    Games,
    Look,
    Lost,
    Observe,
    Outcomes,
    Position,
    Request,
    Text,
    first_key,
)


def test_every_order_has_an_answer() -> None:
    positions = Positions()
    start = first_key("kuhn_poker")
    expected: list[tuple[Request, type[Answer]]] = [
        (Describe(), Games), (Look("kuhn_poker", start, 1), Lost), (Observe("kuhn_poker", start, 0), Lost),
        (Chances("kuhn_poker", start), Lost), (Look("kuhn_poker", history=()), Position),
        (Look("kuhn_poker", start), Lost), (Look("kuhn_poker", start, 1), Position),
        (Chances("kuhn_poker", start), Outcomes),
        (Observe("kuhn_poker", start, None), Text), (Exercise("kuhn_poker", 1, 1, 1, 10), Exercised),
        (Look("no_such_game", history=()), Bad), (Look("go(board_size=-1)", history=()), Bad),
    ]  # fmt: skip
    for order, kind in expected:
        assert isinstance(child.answer(positions, order), kind), order
    bad = child.answer(positions, Look("kuhn_poker", start, 77))
    assert isinstance(bad, Bad)
    assert bad.illegal


def test_it_gives_up_what_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda what, most: given.update({what: most}))
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1 << 20, 1 << 20))
    child.confine()
    assert given[resource.RLIMIT_FSIZE] == given[resource.RLIMIT_CORE] == (0, 0)
    assert given[resource.RLIMIT_AS] == (1 << 20, 1 << 20)  # never above what it has
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1, resource.RLIM_INFINITY))
    child.confine()
    assert given[resource.RLIMIT_AS] == (child.MEMORY_BYTES,) * 2


def test_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    orders, answers = os.pipe(), os.pipe()
    with os.fdopen(orders[1], "wb") as theirs:
        wire.write(theirs, Look("tic_tac_toe", history=()))
        wire.write(theirs, Look("tic_tac_toe", first_key("tic_tac_toe"), 4))
    monkeypatch.setattr(child, "confine", lambda: None)
    monkeypatch.setattr(os, "dup", lambda number: (orders[0], answers[1])[number])
    monkeypatch.setattr(os, "dup2", lambda *numbers: None)
    child.main()
    with os.fdopen(answers[0], "rb") as ours:
        first, second = (msgspec.msgpack.decode(wire.read(ours) or b"", type=Answer) for _ in range(2))
    assert isinstance(first, Position)
    assert isinstance(second, Position)
    assert len(second.actions[1]) == 8


def test_the_process_itself() -> None:
    """Bounded for good, and silent: what the library prints is no answer."""
    with subprocess.Popen(
        [sys.executable, "-m", "extensions.games.openspiel.child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        wire.write(process.stdin, Look("quoridor", history=()))  # the library warns of it
        answer: Any = msgspec.msgpack.decode(wire.read(process.stdout) or b"", type=Answer)
        assert isinstance(answer, Position)
        with open(f"/proc/{process.pid}/limits") as limits:
            bounds = limits.read()
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(60) == 0
    assert str(child.MEMORY_BYTES) in bounds
