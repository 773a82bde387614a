"""What waits for a handler: an event of a conversation, a timer that rang, or a dead letter that is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from clients.bot.memory import ATTEMPTS, DEAD, TIMERS, BotMemory, Dead, Timer
from clients.events import AnyEvent, Received


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to deal with, in the order of its conversation. ``dead``: the letter that is tried again."""

    topic: bytes
    event: AnyEvent | None = None
    timer: Timer | None = None
    dead: Dead | None = None

    @property
    def key(self) -> bytes:
        """Under which its attempts are counted."""
        return self.event.seq.to_bytes(8, "big") if self.event is not None else (self.timer.id if self.timer else b"")

    @property
    def label(self) -> str:
        """What to call it in the log."""
        if isinstance(self.event, Received):
            return f"message {self.event.id.hex()}"
        if self.event is not None:
            return f"event {self.event.seq} ({type(self.event).__name__})"
        return f"timer {self.timer.name!r}" if self.timer is not None else "?"

    def done(self, memory: BotMemory) -> None:
        """Note that it was dealt with."""
        if self.dead is not None:
            memory.put(DEAD, self.dead.key, None)
        elif self.event is not None:
            memory.advance(self.topic, self.event.seq)
        elif self.timer is not None:
            memory.put(TIMERS, self.timer.id, None)
            memory.put(ATTEMPTS, self.key, None)

    def set_aside(self, memory: BotMemory, handler: str, attempts: int, error: str, now_ms: int) -> Dead:
        """Note that it is a dead letter now; its conversation goes on."""
        known = self.dead
        letter = Dead(
            memory.next_dead() if known is None else known.number,
            0 if self.event is None else self.event.seq, self.topic,
            self.event.id if isinstance(self.event, Received) else b"", handler,
            attempts + (0 if known is None else known.attempts), error, now_ms, self.timer,
        )  # fmt: skip
        if known is None:
            self.done(memory)
        memory.put(DEAD, letter.key, letter)
        return letter
