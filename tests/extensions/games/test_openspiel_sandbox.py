"""The sandbox: it answers, and what crashes, hangs or eats in it is killed alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from extensions.games import bounds
from extensions.games.openspiel_sandbox import EngineFailed, Sandbox
from protocol.rules.base import IllegalAction
from tests.support import engine_that_fails


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(engine_that_fails.__name__)
    yield made
    made.close()


def test_it_answers(sandbox: Sandbox) -> None:
    assert sandbox.started == 0
    assert sandbox.ask(list[int], "echo", 1, 2, timeout_s=30) == [1, 2]
    with pytest.raises(IllegalAction, match="not like this"):
        sandbox.ask(int, "refuse", timeout_s=30)
    assert sandbox.started == 1


def test_what_dies_is_started_again(sandbox: Sandbox) -> None:
    with pytest.raises(EngineFailed, match="died"):
        sandbox.ask(int, "crash", timeout_s=30)
    assert sandbox.ask(list[int], "echo", 3, timeout_s=30) == [3]
    assert sandbox.pid is not None
    os.kill(sandbox.pid, signal.SIGKILL)
    os.waitpid(sandbox.pid, 0)
    assert sandbox.ask(list[int], "echo", 4, timeout_s=30) == [4]
    assert sandbox.started == 3


def test_what_hangs_is_killed(sandbox: Sandbox) -> None:
    assert sandbox.ask(list[int], "echo", timeout_s=30) == []
    with pytest.raises(EngineFailed, match="does not answer"):
        sandbox.ask(int, "hang", timeout_s=0.01)
    assert sandbox.pid is None


def test_an_answer_that_is_too_long(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ENGINE_MESSAGE_BYTES", 1)
    with pytest.raises(EngineFailed, match="too long"):
        sandbox.ask(list[int], "echo", 1, timeout_s=30)
