"""`python -m tests.fuzz --minutes 10 --seed N [--target NAME]`: look for input that anything but its refusal answers.

What came of an input (its refusal, or the kind of what was read) is its outcome; an input with a new outcome joins the
corpus of its target. The same seed tries the same inputs in the same order. The exit code is 1 after a finding; the
input is printed in hexadecimal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import Target, targets

TURN: Final = 200  # inputs of one target before the next has its turn
SLOW_S: Final = 2.0  # one input of at most 4 KiB that takes longer is a finding: some refusals must be quick
OUTCOMES_MAX: Final = 5000  # of a target: texts with too much of the input in them would fill memory
FINDINGS_MAX: Final = 20


@dataclass
class Progress:
    """Of one target."""

    name: str
    target: Target
    rng: random.Random
    corpus: list[bytes] = field(init=False)
    outcomes: set[str] = field(default_factory=set)
    executions: int = 0
    slowest_s: float = 0.0
    findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.corpus = list(self.target.corpus)

    def turn(self) -> None:
        """Try ``TURN`` inputs."""
        for _ in range(TURN):
            first = self.executions < len(self.target.corpus)
            self.attempt(self.corpus[self.executions] if first else mutate(self.rng, self._chosen(), self.corpus))

    def _chosen(self) -> bytes:
        """Half of the time one of the last fifty: what was new is closest to what is new."""
        recent = self.corpus[-50:] if self.rng.random() < 0.5 else self.corpus
        return self.rng.choice(recent)

    def attempt(self, data: bytes) -> None:
        """Run one input and note what came of it."""
        self.executions += 1
        began = time.perf_counter()
        try:
            outcome = self.target.run(data)
        except self.target.allowed as error:
            outcome = f"{type(error).__name__}: {re.sub(r'[0-9]+', 'N', str(error))[:120]}"
        except Exception as error:  # noqa: BLE001 - that anything else escapes is what is looked for
            outcome = f"FOUND {type(error).__name__}"
            where = traceback.extract_tb(error.__traceback__)[-1]
            self._found(f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})", data)
        took_s = time.perf_counter() - began
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > SLOW_S:
            self._found(f"it took {took_s:.1f} s", data)
        if outcome not in self.outcomes and len(self.outcomes) < OUTCOMES_MAX:
            self.outcomes.add(outcome)
            self.corpus.append(data)

    def _found(self, what: str, data: bytes) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(f"{self.name}: {what[:300]}: {data.hex()}")

    def figures(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "executions": self.executions, "outcomes": len(self.outcomes), "slowest_ms": round(self.slowest_s * 1000, 1)
        }  # fmt: skip


def fuzz(seconds: float, seed: int, only: str = "") -> list[Progress]:
    """Give all targets turns until the time is over, each at least one."""
    chosen = {name: target for name, target in targets().items() if only in name}
    progress = [Progress(name, target, random.Random(f"{seed} {name}")) for name, target in chosen.items()]
    ends = time.monotonic() + seconds
    while True:
        for each in progress:
            each.turn()
        if time.monotonic() >= ends or not progress:
            return progress


def main(arguments: list[str]) -> int:
    """Fuzz, print a line a target and one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", default="", help="only targets whose name contains this")
    asked = parser.parse_args(arguments)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    progress = fuzz(asked.minutes * 60, asked.seed, asked.target)
    for each in progress:
        now = each.figures()
        print(f"{each.name:<20} {now['executions']:>9} inputs {now['outcomes']:>5} outcomes {now['slowest_ms']:>7} ms")
    findings = [finding for each in progress for finding in each.findings]
    for finding in findings:
        print(f"FOUND {finding}")
    total = {
        "seed": asked.seed, "executions": sum(each.executions for each in progress),
        "outcomes": sum(len(each.outcomes) for each in progress), "findings": len(findings),
        "targets": {each.name: each.figures() for each in progress},
    }  # fmt: skip
    print(json.dumps(total))
    return 1 if findings or not progress else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
