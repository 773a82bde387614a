"""What a task leaves behind when it ends."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients.bot.memory import ATTEMPTS, TIMERS, Attempt, Timer
from clients.bot.tasks import Task
from clients.events import Joined
from tests.clients.bot.support import ALICE, NOW_MS, TOPIC, open_alone, received

TIMER = Timer(b"t" * 16, NOW_MS, TOPIC, "ring", b"\xc0")
MESSAGE = msgspec.structs.replace(received("hello"), seq=4)
TASKS = [Task(TOPIC, MESSAGE), Task(TOPIC, timer=TIMER)]


def test_tasks_have_names_for_the_log() -> None:
    joined = Joined(topic=TOPIC, by=ALICE, members=(), seq=9)
    assert Task(TOPIC, MESSAGE).label == f"message {MESSAGE.id.hex()}"
    assert Task(TOPIC, joined).label == "event 9 (Joined)"
    assert Task(TOPIC, timer=TIMER).label == "timer 'ring'"
    assert Task(TOPIC).label == "?"
    assert [task.key for task in (*TASKS, Task(TOPIC))] == [(4).to_bytes(8, "big"), TIMER.id, b""]


async def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (_, memory):
        memory.put(TIMERS, TIMER.key, TIMER)
        for task in TASKS:
            memory.put(ATTEMPTS, task.key, Attempt(task.key, 1, NOW_MS))
            task.done(memory)
        assert memory.cursor(TOPIC) == 4
        assert not memory.timers
        assert not memory.attempts
        Task(TOPIC).done(memory)


async def test_what_cannot_be_done_is_set_aside(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (_, memory):
        memory.put(TIMERS, TIMER.key, TIMER)
        first, second = (task.set_aside(memory, "handler", 3, "no", NOW_MS) for task in TASKS)
        assert (first.number, first.seq, first.message_id, first.timer) == (1, 4, MESSAGE.id, None)
        assert (second.number, second.seq, second.message_id, second.timer) == (2, 0, b"", TIMER)
        assert memory.cursor(TOPIC) == 4
        assert not memory.timers
        again = Task(TOPIC, MESSAGE, dead=first)
        worse = again.set_aside(memory, "handler", 1, "still no", NOW_MS + 1)
        assert (worse.number, worse.attempts, worse.error) == (1, 4, "still no")
        assert list(memory.dead.values()) == [worse, second]
        again.done(memory)
        assert list(memory.dead.values()) == [second]
