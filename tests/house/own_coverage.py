"""`python3 dev.py coverage [paths]`: the branch coverage of each source file from its own test file alone.

A file that only other tests run through is not tested: nobody would notice where it breaks. With no paths, every source
file; with paths, those files or folders. The exit code is 1 if one is below the bound.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.house import mirror
from tests.house.tree import ROOT

PERCENT_MIN = 90.0


class TestsFailed(Exception):
    """The test file did not pass on its own; the text is the end of pytest's output."""


def measure(source: Path, test: Path) -> tuple[float, list[int]]:
    """(percent of lines and branches, missing lines) of `source` while only `test` runs.

    Raises:
        TestsFailed: the test file fails on its own, or never imports the source file.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, report = Path(folder, "data"), Path(folder, "report.json")
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        include = f"--include={source.as_posix()}"
        coverage = [sys.executable, "-m", "coverage"]
        pytest = [*coverage, "run", "--branch", include, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        done = subprocess.run(pytest, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TestsFailed("\n".join(done.stdout.splitlines()[-12:]))
        command = [*coverage, "json", "--quiet", include, "-o", str(report)]
        if subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode:
            raise TestsFailed(f"{test} never runs {source}")
        entry = next(iter(json.loads(report.read_text())["files"].values()))
        return entry["summary"]["percent_covered"], entry["missing_lines"]


def chosen(arguments: Sequence[str]) -> list[tuple[Path, Path]]:
    """The pairs under the given paths; all of them if none is given."""
    wanted = [Path(argument) for argument in arguments]
    return [
        (source, test)
        for source, test in mirror.pairs()
        if not wanted or any(path == source or path in source.parents for path in wanted)
    ]


def main(arguments: Sequence[str]) -> int:
    """Print one line a file, those below the bound once more at the end."""
    low: list[str] = []
    for source, test in chosen(arguments):
        if not (ROOT / test).is_file():
            line = f"  none  {source}: {test} is missing"
            low.append(line)
        else:
            try:
                percent, missing = measure(source, test)
            except TestsFailed as failed:
                line = f"failed  {source}: {failed}"
                low.append(line)
            else:
                line = f"{percent:5.1f}%  {source}"
                if percent < PERCENT_MIN:
                    line += f"  missing {', '.join(map(str, missing[:20]))}"
                    low.append(line)
        print(line, flush=True)
    print(f"{len(low)} below {PERCENT_MIN:.0f} %" + "".join(f"\n{line}" for line in low))
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
