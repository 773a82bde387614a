"""The history checker: what everybody was told, against what was said and acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from relay.demo.processes import Line

_CHUNK = 4 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the histories of one conversation show. All is well when ``ok``."""

    sent: int
    stored: int  # acknowledged by the relay
    delivered: int  # hand-outs to applications, over all members
    lost: int  # acknowledged and not told to a member who was in
    duplicated: int  # told to an application twice
    swapped: int  # a sender's later message before an earlier one
    orders: int  # different orders among the members (1 is right)

    @property
    def ok(self) -> bool:
        """Nothing lost, doubled or reordered, and one order for all."""
        return not (self.lost or self.duplicated or self.swapped) and self.orders <= 1


def judge(
    said: Mapping[str, Sequence[str]], acknowledged: Iterable[str], heard: Mapping[str, Sequence[Line]]
) -> Verdict:
    """Compare.

    ``said``: message ids by sender, in the order of saying; ``acknowledged``: ids that the relay confirmed; ``heard``:
    by member, what its application was told. Every member is taken to have been in from the first message on.
    """
    wanted = set(acknowledged)
    lost = duplicated = swapped = delivered = 0
    orders = set()
    place = {message_id: index for ids in said.values() for index, message_id in enumerate(ids)}
    for lines in heard.values():
        ids = [line.id for line in lines]
        counts = Counter(ids)
        delivered += len(counts)
        lost += len(wanted - set(counts))
        duplicated += sum(count - 1 for count in counts.values())
        orders.add(tuple(ids))
        last: dict[str, int] = {}
        for line in lines:
            if line.id in place:  # else said by a process that died before it could tell the id
                swapped += place[line.id] < last.get(line.sender, -1)
                last[line.sender] = max(place[line.id], last.get(line.sender, -1))
        offsets = [line.offset for line in lines]
        swapped += offsets != sorted(offsets)
    return Verdict(
        sum(len(ids) for ids in said.values()), len(wanted), delivered, lost, duplicated, swapped, len(orders)
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0–1) of the values lie; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def files_with(needle: bytes, directory: Path) -> list[str]:
    """Files below a directory that hold ``needle``."""
    found = []
    for path in sorted(directory.rglob("*")):
        if path.is_file() and needle in path.read_bytes():
            found.append(path.name)
    return found


def memory_holds(needle: bytes, pid: int) -> bool | None:
    """Whether ``needle`` stands anywhere in a process's readable memory; None where it may not be looked at."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        memory = FileIO(f"/proc/{pid}/mem", "rb")
    except OSError:
        return None
    looked = False
    with memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or line.endswith(("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            found = _region_holds(memory, start, end, needle)
            looked = looked or found is not None
            if found:
                return True
    return False if looked else None


def _region_holds(memory: FileIO, start: int, end: int, needle: bytes) -> bool | None:
    """Whether one mapped region holds ``needle``; None if it cannot be read."""
    tail = b""
    position = start
    while position < end:
        try:
            memory.seek(position)
            part = memory.read(min(_CHUNK, end - position))
        except (OSError, OverflowError, ValueError):
            return None
        if not part:
            return None
        if needle in tail + part:
            return True
        tail = part[-len(needle) :]
        position += len(part)
    return False
