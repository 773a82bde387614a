"""How fast the MLS core is: `python -m tests.protocol.mls.bench` prints medians; no assertion, no network, no files.

Sizes: a 300-byte message in a group of 2 and of 1,000; commits that add four members; storing; joining.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

from protocol.mls import Group, GroupParts
from tests.protocol.mls.people import NOW_S, Person, founded

MESSAGE = bytes(300)
AUTHENTICATED = bytes(32)


def median_ms(action: Callable[[], object], times: int) -> float:
    """The median duration of an action, in milliseconds."""
    found: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return statistics.median(found) * 1000


def grown(people: list[Person], suite: int) -> tuple[Group, Group]:
    """A group of these people: (the creator's state, the last one's)."""
    first, rest = people[0], people[1:]
    group = founded(first, suite=suite)
    packages = [person.key_package(suite) for person in rest]
    pending = group.commit(
        add=[package.key_package for package in packages],
        authenticated_data=AUTHENTICATED,
        tree_in_welcome=False,
        entropy=os.urandom,
        now_s=NOW_S,
    )
    assert pending.welcome is not None
    other = Group.join(
        welcome=pending.welcome,
        key_package=packages[-1].key_package,
        key_package_private=packages[-1].private,
        signature_private=rest[-1].seed,
        ratchet_tree=pending.ratchet_tree,
        now_s=NOW_S,
    )
    return pending.next, other


def report(name: str, ms: float) -> None:
    """Prints one line."""
    print(f"  {name:<58}{ms:>10.3f} ms", flush=True)


def messages(a: Group, b: Group) -> None:
    """Sealing, opening and storing in a group of two states `a` and `b`."""
    sent: list[bytes] = []
    state = a

    def seal() -> None:
        nonlocal state
        message, state = state.seal(MESSAGE, authenticated_data=AUTHENTICATED, entropy=os.urandom)
        sent.append(message)

    report("seal 300 bytes", median_ms(seal, 1000))
    receiver, queue = b, iter(sent)

    def open_one() -> None:
        nonlocal receiver
        _, receiver = receiver.open(next(queue), authenticated_data=AUTHENTICATED)

    report("open 300 bytes", median_ms(open_one, 1000))
    report("to_parts after a message", median_ms(lambda: receiver.to_parts(), 200))
    parts = receiver.to_parts()
    report("from_parts", median_ms(lambda: Group.from_parts(parts), 50))
    print(f"  stored: epoch part {len(parts.epoch_part):,} bytes, ratchet part {len(parts.ratchet_part):,} bytes")
    reopened = GroupParts(parts.epoch_part, parts.ratchet_part)
    report("from_parts and seal", median_ms(lambda: _load_and_seal(reopened), 50))


def _load_and_seal(parts: GroupParts) -> None:
    Group.from_parts(parts).seal(MESSAGE, authenticated_data=AUTHENTICATED, entropy=os.urandom)


def commits(a: Group, b: Group, newcomers: list[Person], suite: int) -> None:
    """Commits of `a`, applied by `b`: four adds, then an empty one."""
    packages = [person.key_package(suite).key_package for person in newcomers]

    def commit(add: list[bytes]) -> bytes:
        return a.commit(
            add=add, authenticated_data=AUTHENTICATED, tree_in_welcome=False, entropy=os.urandom, now_s=NOW_S
        ).commit

    for name, add in (("commit that adds four", packages), ("commit of an update", [])):
        data = commit(add)
        report(f"{name} ({len(data):,} bytes)", median_ms(lambda add=add: commit(add), 9))  # type: ignore[misc]
        report(
            "  apply it",
            median_ms(lambda data=data: b.apply(data, authenticated_data=AUTHENTICATED, now_s=NOW_S), 9),  # type: ignore[misc]
        )


def main() -> int:
    """Runs everything."""
    for suite in (3, 1):
        for size in (2, 8, 1000):
            print(f"suite {suite}, {size} members")
            people = [Person(f"{suite}/{size}/{i}") for i in range(size + 4)]
            start = time.perf_counter()
            a, b = grown(people[:size], suite)
            report("create, add all at once, one joins", (time.perf_counter() - start) * 1000)
            messages(a, b)
            commits(a, b, people[size:], suite)
            # After one commit by everybody's path the tree has few blanks; one more committer shows it.
            data = b.commit(authenticated_data=AUTHENTICATED, tree_in_welcome=False, entropy=os.urandom, now_s=NOW_S)
            a2 = a.apply(data.commit, authenticated_data=AUTHENTICATED, now_s=NOW_S).next
            if size > 2:
                print("  after a second path:")
                commits(a2, data.next, people[size:], suite)
    return 0


if __name__ == "__main__":
    sys.exit(main())
