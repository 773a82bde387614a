#!/usr/bin/env python3
"""The one door to the project: `python3 dev.py demo` or `test`; `make demo` and `make test` call the same.

Standard library only. It makes `.venv` from `requirements.lock` (hash-checked wheels, so no compiler and no root),
brings it up to date only when the lock or pyproject.toml changed, then runs the command inside it. What this machine
lacks is said in one line with the command to copy, and the exit code is 2.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
LOCK = ROOT / "requirements.lock"
PYPROJECT = ROOT / "pyproject.toml"
PIP_LOG = ROOT / "build" / "pip.log"
OLDEST = (3, 11)
NEWER_PYTHONS = ("python3.13", "python3.12", "python3.11")
#: A test that hangs longer than this ends the run with every thread's stack; the long runs explore for minutes.
LONG_TEST_TIMEOUT_S = 1800
UV = "uv>=0.5"


class Missing(Exception):
    """This machine lacks something; the text is one line that ends with the command to copy."""


def run(*command: object, **env: str) -> int:
    """Run `command` in the checkout with `env` added to the environment; return its exit code."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **env}, check=False).returncode


# --- the virtual environment


def digest(*files: Path) -> str:
    """What the environment was made from: SHA-256 over `files`."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def up_to_date(stamp: Path, want: str) -> bool:
    """Whether `stamp` was written by a step that ended well on the same input."""
    return stamp.is_file() and stamp.read_text() == want


def interpreter() -> str:
    """The Python to make the environment from: this one, or a newer one on PATH where this one is too old."""
    if sys.version_info >= OLDEST:
        return sys.executable
    for name in NEWER_PYTHONS:
        found = shutil.which(name)
        if found:
            return found
    have = ".".join(str(part) for part in sys.version_info[:2])
    raise Missing(f"Chappe needs Python 3.11 or newer, this is {have}: sudo apt-get install python3.11 python3.11-venv")


def make_venv() -> None:
    """Make an empty `.venv`, or say which system package is missing."""
    python = interpreter()
    if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        raise Missing(f"{python} cannot make virtual environments: sudo apt-get install python3-venv")
    print("making .venv ...", flush=True)
    done = subprocess.run([python, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{VENV.name} could not be made ({''.join(reason)}): {python} -m venv --clear {VENV.name}")


def pip(*arguments: str) -> None:
    """Install with the environment's own pip; its chatter goes to build/pip.log.

    Raises:
        Missing: pip failed, nearly always for want of a network or of a wheel for this platform.
    """
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    PIP_LOG.parent.mkdir(exist_ok=True)
    with PIP_LOG.open("w") as log:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode:
        again = " ".join([str(PYTHON.relative_to(ROOT)), *command[1:]])
        raise Missing(f"packages could not be installed (no network? see {PIP_LOG.relative_to(ROOT)}); try: {again}")


def ensure_venv() -> None:
    """Bring `.venv` up to date with the lock, then the project itself into it (editable)."""
    if not PYTHON.exists():
        make_venv()
    locked, project = VENV / "locked.sha256", VENV / "project.sha256"
    if not up_to_date(locked, digest(LOCK)):
        began = time.monotonic()
        print("installing the locked packages ...", flush=True)
        pip("--require-hashes", "--only-binary=:all:", "--requirement", LOCK.name)
        locked.write_text(digest(LOCK))
        project.unlink(missing_ok=True)
        print(f"installed in {time.monotonic() - began:.0f} s", flush=True)
    if not up_to_date(project, digest(PYPROJECT)):
        pip("--no-deps", "--no-build-isolation", "--editable", ".")
        project.write_text(digest(PYPROJECT))


# --- the commands; each returns an exit code


def demo(extra: list[str]) -> int:
    """Relay, people and bots doing real things, and a printed summary."""
    return run(BIN / "chappe", "demo", *extra)


def lint(extra: list[str]) -> int:
    """Ruff, then mypy --strict, over everything."""
    codes = [run(PYTHON, "-m", "ruff", "check", "--quiet", "."), run(PYTHON, "-m", "mypy", *extra)]
    return max(codes)


def test(extra: list[str]) -> int:
    """Lint, then the suite; the slowest tests and pytest's closing line come last."""
    linted = lint([])
    tested = run(PYTHON, "-m", "pytest", "--durations=15", *extra)
    if linted:
        print("FAILED: lint (above, before the tests)")
    return linted or tested


def test_long(extra: list[str]) -> int:
    """The suite with what is marked `long`, and larger Hypothesis profiles."""
    timeout = f"faulthandler_timeout={LONG_TEST_TIMEOUT_S}"
    return run(PYTHON, "-m", "pytest", "--durations=30", "-o", timeout, *extra, CHAPPE_LONG="1")


def bench(extra: list[str]) -> int:
    """The benchmarks; figures of this machine."""
    return run(PYTHON, "-m", "tests.bench", *extra)


def prove(extra: list[str]) -> int:
    """One topic of the promises, shown by a run: PASS, FAIL or NOT RUN a line, and build/prove/TOPIC.json."""
    topics = sorted(path.stem for path in (ROOT / "tests" / "prove").glob("[a-z]*.py"))
    if not extra or extra[0] not in topics:
        print(f"prove what? python3 dev.py prove {' | '.join(topics) or '(there is no topic yet)'}", file=sys.stderr)
        return 2
    return run(PYTHON, "-m", f"tests.prove.{extra[0]}", *extra[1:])


def coverage(extra: list[str]) -> int:
    """Branch coverage of each source file from its own test file alone."""
    return run(PYTHON, "-m", "tests.house.own_coverage", *extra)


def test_autobahn(extra: list[str]) -> int:
    """The Autobahn testsuite against our websocket; needs CPython 2.7 and a package index."""
    return run(PYTHON, "-m", "tests.autobahn", *extra)


def model(extra: list[str]) -> int:
    """The table of the model checker: `publish` or `delivery`."""
    return run(PYTHON, "-m", "tests.model", *extra)


def docs(extra: list[str]) -> int:
    """Write the tables of SPEC.md and OPERATING.md from the registries."""
    return run(PYTHON, "-m", "tests.house.documents", *extra)


def lock(extra: list[str]) -> int:
    """Write requirements.lock anew for every platform; needs an index that has every platform's wheels."""
    pip(UV)
    index = subprocess.run(
        [str(PYTHON), "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    ).stdout.strip()
    where = {"UV_DEFAULT_INDEX": index} if index else {}  # uv does not read pip's configuration
    return run(
        *(BIN / "uv", "pip", "compile", PYPROJECT.name, "--group", "dev"),
        *(word for extra in ("relay", "workers", "rank", "games") for word in ("--extra", extra)),
        *("--universal", "--python-version", "3.11", "--generate-hashes", "--quiet", "--output-file", LOCK.name),
        *("--no-emit-index-url", "--no-emit-find-links", "--custom-compile-command", "python3 dev.py lock", *extra),
        **where,
    )


def venv(extra: list[str]) -> int:
    """Only make the environment, and say where it is."""
    print(f"ready: {BIN.relative_to(ROOT)}")
    return 0


COMMANDS = {
    "demo": demo,
    "test": test,
    "test-long": test_long,
    "test-autobahn": test_autobahn,
    "lint": lint,
    "bench": bench,
    "prove": prove,
    "coverage": coverage,
    "model": model,
    "docs": docs,
    "lock": lock,
    "venv": venv,
}


def main(arguments: list[str]) -> int:
    """Run one command; everything after its name is handed on (a leading `--` is dropped)."""
    lines = "\n".join(f"  {name:<13} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="dev.py", usage="python3 dev.py COMMAND [-- arguments]", description=f"commands:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    chosen = parser.parse_args(arguments[:1]).command
    extra = arguments[1:]
    if extra[:1] == ["--"]:
        extra = extra[1:]
    try:
        ensure_venv()
        return COMMANDS[chosen](extra)
    except Missing as missing:
        print(f"dev.py: {missing}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
