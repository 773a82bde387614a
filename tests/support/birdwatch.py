"""The published ratings of Birdwatch, 2021-03-25, in order of time."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extensions.ranking.bridging import Floats, Ints, Table, dense


@dataclass(frozen=True, slots=True)
class Ratings:
    """Parallel arrays of those ratings that count by the published minima; ``authors`` has one entry a note."""

    raters: Ints
    notes: Ints
    values: Floats
    authors: Ints

    def first(self, count: int) -> Table:
        """The earliest ratings."""
        sizes = int(self.raters.max()) + 1, int(self.notes.max()) + 1
        return Table(self.raters[:count], self.notes[:count], self.values[:count], *sizes)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def load(folder: Path) -> Ratings:
    """Read both files of ``folder``. A rating is helpful or not helpful; what is neither is none."""
    author_of = {row["noteId"]: row["participantId"] for row in _rows(folder / "notes-00000.tsv")}
    rows = [row for row in _rows(folder / "ratings-00000.tsv") if row["helpful"] != row["notHelpful"]]
    rows.sort(key=lambda row: int(row["createdAtMillis"]))
    people: dict[str, int] = {}
    raters = np.array([people.setdefault(row["participantId"], len(people)) for row in rows])
    names = [row["noteId"] for row in rows]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    notes = np.array([numbers[name] for name in names])
    kept = dense(raters, notes)
    _, raters_kept = np.unique(raters[kept], return_inverse=True)
    used, notes_kept = np.unique(notes[kept], return_inverse=True)
    all_names = list(numbers)
    writers: dict[str, int] = {}
    authors = [author_of.get(all_names[number], all_names[number]) for number in used]
    values = np.array([float(row["helpful"] == "1") for row in rows])[kept]
    return Ratings(
        raters_kept, notes_kept, values, np.array([writers.setdefault(name, len(writers)) for name in authors])
    )
