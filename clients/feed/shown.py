"""What is shown of feeds: edits joined with what they change, what was taken back left out, and feeds merged. Pure.

A timeline is merged by the relay's time and paged by position: a cursor is (time, account, offset) of the last item,
and what comes next is what stands below it. An author's clock plays no part. What is missing is an item too: a ``Gap``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from clients.feed.entries import SHOWN, Entry
from protocol.messages import feed as F

Cursor: TypeAlias = tuple[int, bytes, int]  # (relay's time, account, offset)
PAGE: Final = 30  # items of a page, unless more are wanted
KEPT_MAX: Final = 500  # entries of one feed in memory; older ones are read again when they are wanted


@dataclass(frozen=True, slots=True)
class Item:
    """A post as it stands now. ``edits``: how often its author has changed it."""

    entry: Entry
    text: str
    media: tuple[F.File, ...]
    edits: int = 0
    liked: bool = False  # by ourselves

    @property
    def cursor(self) -> Cursor:
        """Its place in a timeline."""
        return self.entry.ts, self.entry.account, self.entry.offset


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries ``first`` to ``last`` of a feed are not here. ``gone``: nowhere; else ``client.feed.fill`` reads them."""

    account: bytes
    first: int
    last: int
    ts: int  # of what follows it
    gone: bool

    @property
    def cursor(self) -> Cursor:
        """Its place in a timeline: right below what follows it."""
        return self.ts, self.account, self.last


@dataclass(slots=True)
class Log:
    """What is known of one feed: everything above ``low`` up to ``high``."""

    account: bytes
    generation: int = 1
    low: int = 0
    high: int = 0
    entries: dict[int, Entry] = field(default_factory=dict)
    holes: dict[int, int] = field(default_factory=dict)  # first → last of what is gone
    edits: dict[bytes, list[Entry]] = field(default_factory=dict)  # by id of what they change
    taken: dict[int, Entry] = field(default_factory=dict)  # offset → what took it back
    profile: Entry | None = None

    def begin(self, generation: int, low: int) -> None:
        """Forget everything: what is known begins above ``low``."""
        self.generation, self.low, self.high = generation, low, low
        self.entries.clear()
        self.holes.clear()
        self.edits.clear()
        self.taken.clear()

    def add(self, entry: Entry) -> None:
        """Take in an entry that lies above ``low``, in any order."""
        self.entries[entry.offset] = entry
        body = entry.body
        if isinstance(body, F.Edit):
            versions = self.edits.setdefault(body.of.id, [])
            if entry.offset not in {version.offset for version in versions}:
                versions.append(entry)
                versions.sort(key=lambda version: version.offset)
        elif isinstance(body, F.Delete):
            self.taken[body.of.offset] = entry
        elif isinstance(body, F.Profile) and (self.profile is None or self.profile.offset < entry.offset):
            self.profile = entry

    def trim(self) -> None:
        """Keep what is newest."""
        for offset in sorted(self.entries)[: max(len(self.entries) - KEPT_MAX, 0)]:
            gone = self.entries.pop(offset)
            self.low = max(self.low, offset)
            self.edits.pop(gone.id, None)

    def item(self, entry: Entry) -> Item | None:
        """An entry as it stands now; None: it was taken back."""
        taken = self.taken.get(entry.offset)
        if taken is not None and getattr(taken.body, "of").id == entry.id:  # noqa: B009 - of a Delete
            return None
        versions = self.edits.get(entry.id, [])
        last = versions[-1] if versions else entry
        return Item(entry, last.text, last.media, len(versions))

    def items(self) -> Iterable[Item | Gap]:
        """What a timeline shows of it, the newest first."""
        for offset in sorted(self.entries, reverse=True):
            entry = self.entries[offset]
            if isinstance(entry.body, SHOWN):
                item = self.item(entry)
                if item is not None:
                    yield item

    def gaps(self, seen: int) -> Iterable[Gap]:
        """What is missing: what is gone, and what was not seen yet and not read. ``seen``: shown up to there before."""
        for first, last in self.holes.items():
            left = [offset for offset in range(first, last + 1) if offset not in self.taken]
            if left:
                yield Gap(self.account, first, last, self._after(last), gone=True)
        if self.low > seen:
            yield Gap(self.account, seen + 1, self.low, self._after(self.low), gone=False)

    def _after(self, offset: int) -> int:
        following = [self.entries[other].ts for other in self.entries if other > offset]
        return min(following, default=max((entry.ts for entry in self.entries.values()), default=0))


@dataclass(frozen=True, slots=True)
class Filter:
    """What somebody does not want to see, anywhere."""

    author: Callable[[bytes], bool] = lambda account: False  # blocked, or muted now
    words: tuple[str, ...] = ()  # in lower case (casefold)

    def hides(self, item: Item) -> bool:
        """Whether an item is not shown: by its author, by whom it repeats, by what it says."""
        of = item.entry.about
        if self.author(item.entry.account) or (of is not None and self.author(of.account)):
            return True
        said = f"{item.text} {' '.join(item.entry.tags)}".casefold()
        return any(word in said for word in self.words)


def merged(
    logs: Iterable[Log], seen: Callable[[bytes], int], hide: Filter, before: Cursor | None, limit: int
) -> list[Item | Gap]:  # fmt: skip
    """The newest ``limit`` items below ``before``, by the relay's time. ``seen``: of an account, shown up to there."""
    found: list[Item | Gap] = []
    for log in logs:
        if hide.author(log.account):
            continue
        found += (item for item in log.items() if isinstance(item, Item) and not hide.hides(item))
        found += log.gaps(seen(log.account))
    below = [item for item in found if before is None or _rank(item) < before]
    return sorted(below, key=_rank, reverse=True)[:limit]


def _rank(item: Item | Gap) -> Cursor:
    return item.cursor


def liked(item: Item, likes: set[bytes]) -> Item:
    """The item, with whether we like it."""
    return replace(item, liked=item.entry.key in likes)


def newest(log: Log, entry: Entry, edit: Entry | None) -> Item | None:
    """A post as it stands now; ``edit``: a version of it that somebody names, which this device may not know yet."""
    item, known = log.item(entry), [version.offset for version in log.edits.get(entry.id, ())]
    if item is None or edit is None or edit.offset <= max(known, default=entry.offset):
        return item
    return replace(item, text=edit.text, media=edit.media, edits=len(known) + 1)
