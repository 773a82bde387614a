"""An engine that answers, dies, hangs or lies."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from extensions.games.openspiel.engine import Engine, EngineFailed
from extensions.games.openspiel.wire import Chances, Describe, Games, Observe, Outcomes, Text, key_after
from protocol.rules.base import IllegalAction, RulesError


def program(code: str, seconds: float = 60.0) -> Engine:
    """An engine that is another program."""
    return Engine((sys.executable, "-c", code), seconds)


def test_it_is_begun_anew_and_told_what_was_before(engine: Engine) -> None:
    one = engine.step("tic_tac_toe", engine.start_of("tic_tac_toe").key, (), 4)
    before = engine.statistics()
    os.kill(engine.pid or 0, signal.SIGKILL)
    two = engine.step("tic_tac_toe", one.key, (4,), 0)
    assert two.key == key_after(one.key, 0)
    assert len(two.actions[0]) == 7
    after = engine.statistics()
    assert (after.starts, after.replays) == (before.starts + 1, before.replays + 1)


def test_what_is_not_legal(engine: Engine) -> None:
    start = engine.start_of("connect_four")
    with pytest.raises(IllegalAction):
        engine.step("connect_four", start.key, (), 99)
    with pytest.raises(RulesError):
        engine.start_of("connect_four(rows=-3)")
    assert engine.step("connect_four", start.key, (), 3).actions[1]


def test_a_position_that_was_forgotten_is_looked_at_all_the_same(engine: Engine) -> None:
    start = engine.start_of("kuhn_poker")
    dealt = engine.step("kuhn_poker", start.key, (), 2)
    engine.close()
    assert isinstance(engine.about(Chances("kuhn_poker", dealt.key), (2,)), Outcomes)
    assert isinstance(engine.about(Observe("kuhn_poker", dealt.key, 0), (2,)), Text)
    assert isinstance(engine.ask(Describe()), Games)


@pytest.mark.parametrize(("code", "why"), [
    ("import sys; sys.exit(3)", "ended|Broken pipe"),
    ("import sys; sys.stdout.write('no answer, but text'); sys.stdout.close(); sys.stdin.read()", "gave up"),
    ("import sys; sys.stdout.buffer.write(bytes([0, 0, 0, 1, 7])); sys.stdout.flush(); sys.stdin.read()", "gave up"),
    ("import os; os.kill(os.getpid(), 11)", "ended|Broken pipe"),
])  # fmt: skip
def test_who_dies_or_says_nonsense_is_gone(code: str, why: str) -> None:
    broken = program(code)
    for _ in range(2):
        with pytest.raises(EngineFailed, match=why):
            broken.ask(Describe())
        assert broken.pid is None
    assert broken.statistics().starts == 2


def test_who_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.games.openspiel.engine.START_S", 0.0)
    hangs = program("import time; time.sleep(3600)", 0.05)
    with pytest.raises(EngineFailed, match="no answer in time"):
        hangs.start_of("chess")
    assert hangs.pid is None
    assert hangs.statistics().starts == 2  # it may have died of something else


def test_another_answer_than_was_asked_for() -> None:
    code = (
        "import sys\nfrom extensions.games.openspiel import wire\nwhile wire.read(sys.stdin.buffer):\n"
        "    wire.write(sys.stdout.buffer, wire.Lost())\n"
    )
    lies = program(code)
    with pytest.raises(EngineFailed, match="something else"):
        lies.start_of("chess")
    lies.close()
    lies.close()
