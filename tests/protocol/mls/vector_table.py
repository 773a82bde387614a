"""Which official MLS vectors pass: `python -m tests.protocol.mls.vector_table` prints a line for each file.

Also a function, for whoever wants the figures: `vector_table()` yields (file, passed, skipped as of other suites).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from protocol.mls.suite import SUITES
from tests.protocol.mls import vector_checks as checks
from tests.protocol.mls.passive_client import check_passive_client
from tests.support.vectors import load, vectors_dir

CHECKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "crypto-basics.json": checks.check_crypto_basics,
    "deserialization.json": checks.check_deserialization,
    "key-schedule.json": checks.check_key_schedule,
    "message-protection.json": checks.check_message_protection,
    "messages.json": checks.check_messages,
    "passive-client-handling-commit.json": check_passive_client,
    "passive-client-random.json": check_passive_client,
    "passive-client-welcome.json": check_passive_client,
    "psk_secret.json": checks.check_psk_secret,
    "secret-tree.json": checks.check_secret_tree,
    "transcript-hashes.json": checks.check_transcript_hashes,
    "tree-math.json": checks.check_tree_math,
    "tree-operations.json": checks.check_tree_operations,
    "tree-validation.json": checks.check_tree_validation,
    "treekem.json": checks.check_treekem,
    "welcome.json": checks.check_welcome,
}


def run_file(name: str, entries: list[dict[str, Any]]) -> tuple[int, int]:
    """Checks all entries of a file: (passed, skipped as of other suites). AssertionError if one fails."""
    passed = skipped = 0
    for entry in entries:
        if entry.get("cipher_suite", 1) not in SUITES:
            skipped += 1
            continue
        try:
            CHECKS[name](entry)
        except checks.OtherSuite:
            skipped += 1
        else:
            passed += 1
    return passed, skipped


def check_file(name: str, at_least: int) -> None:
    """For a test: all entries of a file, of which at least so many must be of our suites."""
    passed, _ = run_file(name, load(f"mls/{name}"))
    assert passed >= at_least


def vector_table() -> Iterator[tuple[str, int, int]]:
    """(file, passed, skipped as of other suites) for each vector file; raises what the first failing check raises."""
    for name in CHECKS:
        entries = json.loads((vectors_dir() / "mls" / name).read_bytes())
        yield (name, *run_file(name, entries))


def main() -> int:
    """Prints the table."""
    print(f"{'MLS vectors':<40}{'passed':>8}{'other suites':>14}")
    total = 0
    for name, passed, skipped in vector_table():
        print(f"{name:<40}{passed:>8}{skipped:>14}", flush=True)
        total += passed
    print(f"{'all':<40}{total:>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
