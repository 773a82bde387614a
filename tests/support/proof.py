"""How a proof reports: a line a promise (PASS, FAIL or NOT RUN and why), figures, and one JSON file."""

from __future__ import annotations

import argparse
import json
import random
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trio

from clients.tasks import sole

ROOT = Path(__file__).resolve().parents[2]


class NotRun(Exception):
    """This machine cannot show it; the text says why."""


class Unproved(AssertionError):
    """A promise was not kept; the text says how."""


def check(condition: bool, text: str) -> None:
    """Raise ``Unproved`` unless a promise was kept."""
    if not condition:
        raise Unproved(text)


@dataclass
class Line:
    """One promise."""

    name: str
    status: str
    seconds: float
    figures: dict[str, Any] = field(default_factory=dict)
    why: str = ""


def _failed(name: str, error: BaseException) -> Line:
    if isinstance(error, NotRun):
        return Line(name, "NOT RUN", 0.0, why=str(error))
    if isinstance(error, Unproved):
        return Line(name, "FAIL", 0.0, why=str(error))
    traceback.print_exception(error)
    return Line(name, "FAIL", 0.0, why=f"{type(error).__name__}: {error}")


def parser_of(topic: str, doc: str | None) -> argparse.ArgumentParser:
    """The command line of ``make prove-TOPIC``, with what all topics take."""
    parser = argparse.ArgumentParser(prog=f"make prove-{topic}", description=doc)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--only", default="", help="run only the lines whose name holds this")
    return parser


class Proof:
    """Collects lines of one topic."""

    def __init__(self, topic: str, seed: int, only: str = "") -> None:
        self.topic = topic
        self.seed = seed
        self.lines: list[Line] = []
        self._only = only

    async def show(self, name: str, action: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Run one promise and print its line. ``action`` returns figures, or raises ``Unproved`` or ``NotRun``."""
        if self._only and self._only not in name:
            return
        began = trio.current_time()
        try:
            line = Line(name, "PASS", 0.0, await action())
        except Exception as error:  # noqa: BLE001 - a proof goes on to its next line, whatever broke in this one
            line = _failed(name, sole(error, (Unproved,)))
        line.seconds = round(trio.current_time() - began, 1)
        self.lines.append(line)
        figures = " · ".join(f"{key} {value}" for key, value in line.figures.items())
        print(f"{line.status:8}{name}: {line.why or figures} ({line.seconds} s)", flush=True)

    def conclude(self) -> int:
        """Write ``build/prove/TOPIC.json``; the exit code: 1 if anything failed."""
        failed = sum(line.status == "FAIL" for line in self.lines)
        skipped = sum(line.status == "NOT RUN" for line in self.lines)
        path = ROOT / "build" / "prove" / f"{self.topic}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {"topic": self.topic, "seed": self.seed, "lines": [asdict(line) for line in self.lines]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        passed = len(self.lines) - failed - skipped
        print(f"seed {self.seed} · {passed} passed, {failed} failed, {skipped} not run · {path.relative_to(ROOT)}")
        return 1 if failed else 0
