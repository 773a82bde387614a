"""Data for evaluations, as interactions in order of time. Files are read where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from extensions.ranking.events import AnyEvent, Post, Signal

Format = Literal["movielens", "events"]
_ENGAGING: Final = frozenset(("dwell", "finish", "open", "like", "reply", "share"))


class DataError(ValueError):
    """A file that is not of this format; the text says which line."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A reader engaged with an item."""

    reader: int
    item: int
    at_ms: int
    liked: bool


@dataclass(frozen=True, slots=True)
class Data:
    """Interactions in order of time (equal times in the order of the file), each pair once."""

    interactions: tuple[Interaction, ...]
    readers: int
    items: tuple[Post, ...]  # by number


def load(path: Path, format: Format) -> Data:
    """Read a file. Raises ``OSError`` and ``DataError``."""
    return _movielens(path) if format == "movielens" else _events(path)


def _movielens(path: Path) -> Data:
    """``u.data`` of MovieLens-100k: reader, film, rating, seconds, separated by tabs. Rated is engaged with."""
    rows = []
    with path.open(encoding="ascii", errors="strict") as stream:
        for number, line in enumerate(stream, 1):
            try:
                reader, item, rating, seconds = (int(part) for part in line.split("\t"))
            except ValueError:
                raise DataError(f"line {number} is not: reader, item, rating, time, separated by tabs") from None
            rows.append((seconds, number, reader, item, rating))
    rows.sort(key=lambda row: row[:2])
    readers = {reader: number for number, reader in enumerate(sorted({row[2] for row in rows}))}
    items = {item: number for number, item in enumerate(sorted({row[3] for row in rows}))}
    found = tuple(
        Interaction(readers[reader], items[item], seconds * 1000, rating >= 4)
        for seconds, _, reader, item, rating in rows
    )
    first_ms = found[0].at_ms if found else 0
    films = tuple(Post(b"film%d" % item, b"by%d" % item, first_ms) for item in items)  # each has an author of its own
    return Data(found, len(readers), films)


def _log(path: Path) -> Iterator[AnyEvent]:
    """Events as JSON, one array a line: what ``msgspec`` makes of ``AnyEvent`` (bytes as base64)."""
    decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield decoder.decode(line)
            except msgspec.DecodeError as error:
                raise DataError(f"line {number}: {error}") from None


def _events(path: Path) -> Data:
    posts: dict[bytes, int] = {}
    items: list[Post] = []
    readers: dict[bytes, int] = {}
    found: dict[tuple[int, int], Interaction] = {}
    for event in _log(path):
        if isinstance(event, Post) and event.id not in posts:
            posts[event.id] = len(items)
            items.append(event)
        elif isinstance(event, Signal) and event.kind in _ENGAGING and event.post in posts:
            key = readers.setdefault(event.reader, len(readers)), posts[event.post]
            found.setdefault(key, Interaction(*key, event.at_ms, event.kind == "like"))
    ordered = sorted(found.values(), key=lambda one: one.at_ms)
    return Data(tuple(ordered), len(readers), tuple(items))
