"""`python -m tests.model publish|delivery [seconds]`: the table, one line a run, with every counterexample's trace."""

from __future__ import annotations

import sys

from tests.model.checker import Result
from tests.model.table import TABLES, Run

SECONDS_MAX = 600.0


def report(run: Run, result: Result) -> str:
    """One run as text; says loudly where it is not as expected."""
    facts = f"{result.states} states, {result.edges} edges, {result.seconds:.1f} s"
    surprise = "" if run.as_expected(result) else f"   <-- UNEXPECTED, want {run.verdict}, {run.states} states"
    lines = [f"{run.kind:<8} | {run.name:<67} | {result.verdict:<9} | {facts}{surprise}"]
    if result.what:
        lines.append(f"           {result.what}")
    lines += [f"           {number:2}. {label}" for number, label in enumerate(result.trace, 1)]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print a table; the exit code is 1 if a run was not as expected."""
    if not arguments or arguments[0] not in TABLES:
        print(f"usage: python -m tests.model {'|'.join(TABLES)} [seconds a run]", file=sys.stderr)
        return 2
    seconds_max = float(arguments[1]) if len(arguments) > 1 else SECONDS_MAX
    unexpected = 0
    for run in TABLES[arguments[0]]:
        result = run.explore(seconds_max)
        unexpected += not run.as_expected(result)
        print(report(run, result), flush=True)
    print(f"{len(TABLES[arguments[0]])} runs, {unexpected} unexpected")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
