"""Lines of the proof that are tables and suites of their own: official vectors, the rules' model, model tests."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.model.checker import Verdict
from tests.model.table import TABLES
from tests.protocol.mls.vector_table import vector_table
from tests.support.proof import ROOT, NotRun, check
from tests.support.vectors import vectors_dir

MODEL_TESTS = (
    "tests/model/test_topics_machine.py",
    "tests/model/test_conversation_machine.py",
    "tests/relay/test_handover.py",
    "tests/protocol/test_session.py",
    "tests/protocol/mls/test_group_model.py",
)


async def vectors() -> dict[str, Any]:
    """Every official MLS vector file: cases passed (cases of other cipher suites are left out)."""
    if vectors_dir() is None:
        raise NotRun("the published vectors are not here; set CHAPPE_VECTORS to their folder")
    rows = await trio.to_thread.run_sync(lambda: list(vector_table()))
    for name, passed, skipped in rows:
        print(f"        {name}: {passed} passed, {skipped} of other suites", flush=True)
        check(passed > 0, f"{name}: nothing was run")
    return {"files": len(rows), "cases passed": sum(passed for _, passed, _ in rows)}


async def model(name: str, seconds_max: float) -> dict[str, Any]:
    """Every run of a table of the explicit-state model, against the verdict that it must have."""
    states = 0
    truncated = []
    for run in TABLES[name]:
        result = await trio.to_thread.run_sync(run.explore, seconds_max)
        states += result.states
        if result.verdict is Verdict.TRUNCATED:
            truncated.append(run.name)
            continue
        check(run.as_expected(result), f"{run.name}: {result.verdict}, expected {run.verdict}")
    if truncated:
        raise NotRun(
            f"{len(truncated)} runs took over {seconds_max:.0f} s (safe as far as they went): {truncated[0]}, …"
        )
    return {"runs as expected": len(TABLES[name]), "states": states}


async def model_tests() -> dict[str, Any]:
    """The Hypothesis machines, in a run of their own."""
    return await passed(MODEL_TESTS)


async def passed(files: tuple[str, ...]) -> dict[str, Any]:
    """Tests of the suite, in a run of their own; raises ``Unproved`` if one fails."""
    with TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", f"--junitxml={report}", *files]
        done = await trio.run_process(command, cwd=ROOT, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        if not report.exists():
            check(False, done.stdout.decode()[-300:])
        suite = ET.parse(report).getroot()
        counts = {key: sum(int(s.get(key, "0")) for s in suite.iter("testsuite")) for key in _KEYS}
    check(counts["failures"] + counts["errors"] == 0, done.stdout.decode()[-600:])
    return {"tests passed": counts["tests"] - counts["skipped"]}


_KEYS = ("tests", "failures", "errors", "skipped")
