"""Run the Autobahn testsuite in a virtual environment of its own (CPython 2.7, in build/), and print what failed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import trio

from tests.autobahn.echo import serve
from tests.house.tree import ROOT

FOLDER = ROOT / "build" / "autobahn"
TOOL, VENV, REPORTS = FOLDER / "tool", FOLDER / "venv", FOLDER / "reports"
#: The last versions that install on CPython 2.7.
VIRTUALENV = "virtualenv==20.15.1"
PACKAGES = ("autobahntestsuite==25.10.1", "autobahn[twisted]==0.10.9", "txaio<=2.1.0", "setuptools<45")
CASES = ("*",)
EXCLUDED = ("12.*", "13.*")  # compression, which is never negotiated
OK = frozenset({"OK", "INFORMATIONAL", "NON-STRICT"})
#: A message of more than WEBSOCKET_FRAGMENTS_MAX fragments is refused with 1009, as documented.
REFUSED = frozenset(f"9.{group}.{number}" for group in (3, 4) for number in (1, 2, 3))


def python2() -> str | None:
    """A CPython 2.7: $CHAPPE_PYTHON2, on PATH, or one of pyenv's."""
    candidates = [os.environ.get("CHAPPE_PYTHON2", ""), shutil.which("python2.7") or ""]
    candidates += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/2.7*/bin/python2.7"))]
    for candidate in candidates:
        if candidate and not subprocess.run([candidate, "-c", "0"], capture_output=True, check=False).returncode:
            return candidate
    return None


def install(python: str) -> None:
    """Make the environment, once."""
    if (VENV / "bin" / "wstest").exists():
        return
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([python, *pip, "--target", str(TOOL), VIRTUALENV], check=True)
    making = {**os.environ, "PYTHONPATH": str(TOOL)}
    subprocess.run([python, "-m", "virtualenv", "--quiet", "--no-download", str(VENV)], env=making, check=True)
    subprocess.run([str(VENV / "bin" / "python"), *pip, *PACKAGES], env=clean(), check=True)


def clean() -> dict[str, str]:
    """Our environment without what points another Python at our packages."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


async def run(cases: list[str]) -> int:
    """The whole run; the exit code is 1 if a case failed."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        server = {"agent": "chappe", "url": f"ws://127.0.0.1:{port}/"}
        spec = {
            "outdir": str(REPORTS), "servers": [server],
            "cases": cases, "exclude-cases": EXCLUDED, "exclude-agent-cases": {},
        }  # fmt: skip
        file = FOLDER / "spec.json"
        file.write_text(json.dumps(spec))
        command = [str(VENV / "bin" / "wstest"), "-m", "fuzzingclient", "-s", str(file)]
        with (FOLDER / "wstest.log").open("w") as log:
            await trio.run_process(command, env=clean(), cwd=FOLDER, stdout=log, stderr=log)
        nursery.cancel_scope.cancel()
    return report()


def report() -> int:
    """Print the summary of the last run."""
    results = json.loads((REPORTS / "index.json").read_text())["chappe"]
    counts = Counter(row["behavior"] for row in results.values())
    closes = Counter(row["behaviorClose"] for row in results.values())
    failed = {
        name: row
        for name, row in results.items()
        if row["behaviorClose"] not in OK or (row["behavior"] not in OK and name not in REFUSED)
    }
    for name, row in results.items():
        if row["behavior"] not in ("OK", "INFORMATIONAL"):
            print(f"{name:<8} {row['behavior']}, close {row['behaviorClose']} (code {row['remoteCloseCode']})")
    print(f"{len(results)} cases: {dict(counts)}; close handshakes: {dict(closes)}; {len(failed)} failed")
    return 1 if failed or not results else 0


def main(arguments: list[str]) -> int:
    """``arguments``: the cases, all of groups 1 to 10 by default."""
    python = python2()
    if python is None:
        print("NOT RUN: the Autobahn testsuite needs CPython 2.7; set CHAPPE_PYTHON2 to one", file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    install(python)
    return trio.run(run, arguments or list(CASES))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
