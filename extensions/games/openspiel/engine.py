"""The engine's process as the referee sees it: asked with a deadline, killed where it does not answer, begun anew.

Blocking, as rules are: an answer takes a tenth of a millisecond, and nothing is waited for longer than ``CALL_S``.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec

from extensions.games.openspiel import wire
from extensions.games.openspiel.wire import Answer, Bad, Look, Lost, Position, Request, Step
from protocol.rules.base import IllegalAction, RulesError

CALL_S: Final = 2.0  # the slowest game (a load of tables) needs half a second; the referee waits for nobody longer
START_S: Final = 20.0  # a fresh process on a loaded machine
_CHUNK: Final = 1 << 16
_ANSWERS: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


class EngineFailed(IllegalAction):
    """The engine died, hung or said something else than an answer, twice: nobody can say that the action was legal.

    It is begun anew by the next call.
    """


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Figures of now."""

    calls: int
    starts: int
    replays: int  # positions that had to be played through again


class Engine:
    """One process. Made at the first call; safe to use from several threads, one at a time."""

    def __init__(self, command: tuple[str, ...] = (), call_s: float = CALL_S) -> None:
        self._command = command or (sys.executable, "-m", "extensions.games.openspiel.child")
        self._call_s = call_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._calls = self._starts = self._replays = 0

    def statistics(self) -> EngineStatistics:
        """How often it was asked, begun, and told a whole history."""
        return EngineStatistics(self._calls, self._starts, self._replays)

    @property
    def pid(self) -> int | None:
        """Of the process, if there is one."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    # -- asking --------------------------------------------------------------------------------------------------------
    def start_of(self, game: str) -> Position:
        """The first position of a game. Raises ``RulesError``."""
        return self._is_position(self._ask_twice(Look(game, history=())))

    def step(self, game: str, base: bytes, history: tuple[Step, ...], step: Step) -> Position:
        """The position after a step from where ``history`` led. Raises ``IllegalAction``, ``EngineFailed``."""
        answer = self._ask_twice(Look(game, base, step))
        if isinstance(answer, Lost):
            self._replays += 1
            answer = self.ask(Look(game, history=(*history, step)))
        return self._is_position(answer)

    def _ask_twice(self, request: Request) -> Answer:
        """A process may have died of something else; where it dies of this request, it does so again."""
        try:
            return self.ask(request)
        except EngineFailed:
            return self.ask(request)

    def about(self, request: wire.Observe | wire.Chances, history: tuple[Step, ...]) -> Answer:
        """An answer about a position, which is played through again where the engine has forgotten it."""
        answer = self._ask_twice(request)
        if isinstance(answer, Lost):
            self._replays += 1
            self._is_position(self.ask(Look(request.game, history=history)))
            answer = self.ask(request)
        return answer

    @staticmethod
    def _is_position(answer: Answer) -> Position:
        if isinstance(answer, Bad):
            raise (IllegalAction if answer.illegal else RulesError)(answer.why)
        if not isinstance(answer, Position):
            raise EngineFailed("the engine answered something else")
        return answer

    def ask(self, request: Request, seconds: float | None = None) -> Answer:
        """One answer. Raises ``EngineFailed``; the process is then gone."""
        with self._lock:
            self._calls += 1
            fresh = self._process is None
            process = self._process or self._start()
            deadline = time.monotonic() + (self._call_s if seconds is None else seconds) + (START_S if fresh else 0)
            try:
                assert process.stdin is not None
                wire.write(process.stdin, request)
                return _ANSWERS.decode(self._read(process, deadline))
            except (OSError, msgspec.DecodeError, TimeoutError) as error:
                self._kill()
                raise EngineFailed(f"the engine of {getattr(request, 'game', 'games')} gave up: {error}") from error

    def _read(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """One message, or ``TimeoutError``, ``OSError``."""
        assert process.stdout is not None
        descriptor, data = process.stdout.fileno(), b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            if len(data) >= 4 and int.from_bytes(data[:4], "big") > wire.BYTES_MAX:
                raise OSError("it said something else than an answer")
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise TimeoutError("no answer in time")
            piece = os.read(descriptor, _CHUNK)
            if not piece:
                raise OSError(f"its process ended with {process.poll()}")
            data += piece
        return data[4:]

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
        )  # fmt: skip
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not flushed has no reader any more
                    if stream is not None:
                        stream.close()
            process.wait()
