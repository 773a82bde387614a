"""Shows that whatever arrives, only the documented refusals come of it: minutes of mutated frames and contents."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

import trio

from tests.support.proof import ROOT, check

SLACK_S: Final = 60  # to start, and to finish the turn that is under way


async def fuzz_minutes(seed: int, minutes: float = 10) -> dict[str, Any]:
    """Fuzz in a process of its own, on one core, ended where it hangs; figures of what was tried."""
    command = [sys.executable, "-m", "tests.fuzz", "--minutes", str(minutes), "--seed", str(seed)]
    with trio.move_on_after(minutes * 60 + SLACK_S):
        done = await trio.run_process(
            command, cwd=ROOT, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )  # fmt: skip
        lines = done.stdout.decode(errors="replace").splitlines()
        found = [line for line in lines if line.startswith("FOUND ")]
        check(not found, f"{len(found)} findings, first: {found[0][:600] if found else ''}")
        check(done.returncode == 0 and bool(lines), f"the fuzzer ended with {done.returncode}: {' '.join(lines[-3:])}")
        figures = json.loads(lines[-1])
        return {name: figures[name] for name in ("executions", "outcomes", "findings")}
    check(False, "the fuzzer hangs: one input takes for ever")
    raise AssertionError
