"""`python -m tests.conformance URL [part of a case's name]`: PASS or FAIL a case; exit code 1 if any failed."""

from __future__ import annotations

import sys

import trio

from tests.conformance.runner import Result, run


def execute(url: str, only: str = "") -> list[Result]:
    """Run the script from outside of trio."""
    return trio.run(run, url, only)


def main(arguments: list[str]) -> int:
    """Run, print, count."""
    if len(arguments) not in (1, 2):
        print("usage: python -m tests.conformance ws://HOST:PORT/ws [PART OF A NAME]", file=sys.stderr)
        return 2
    results = execute(*arguments)
    for result in results:
        print(f"FAIL {result.name}: {result.why}" if result.why else f"PASS {result.name}")
    failed = sum(bool(result.why) for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
