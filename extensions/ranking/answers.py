"""What the ranker says to its readers: decisions on one message at a time, without I/O.

The same for what is public and for each circle: ``Books`` are the ranker and the log that a message is about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from extensions.ranking import events as E
from extensions.ranking.ranker import Ranker, RankingError, Settings, served
from extensions.ranking.shop import Write
from protocol.identity import SigningKey
from protocol.limits import INT_MAX, RANK_EXPORT_BYTES_MAX, RANK_SIGNALS_PER_DAY, RANK_TEXT_CHARS_MAX
from protocol.messages import Body
from protocol.messages import rank as K
from protocol.messages.rank import RefusedCode, SignalKind
from protocol.scoring.page import PageItem, sign_briefing, sign_page
from protocol.scoring.score import Slider

DAY_MS: Final = 86_400_000
_FIRST: Final = "you have not opted in to this ranker; nothing is learned of you, and nothing is ranked"


class Books(Protocol):
    """A ranker with its log and its readers: ``shop.Shop``, or ``circle.Circle``. See there."""

    @property
    def ranker(self) -> Ranker: ...
    @property
    def readers(self) -> Collection[bytes]: ...
    @property
    def places(self) -> Mapping[bytes, tuple[bytes, int]]: ...
    @property
    def edits(self) -> Mapping[bytes, int]: ...
    def apply(self, events: Iterable[E.AnyEvent]) -> list[Write]: ...
    def note(self, events: Iterable[E.AnyEvent]) -> list[Write]: ...
    def forget(self, account: bytes, at_ms: int) -> list[Write]: ...
    def consented(self, account: bytes, *, undo: bool) -> list[Write]: ...


@dataclass(slots=True)
class Outcome:
    """Answers, and what to write with them."""

    says: list[Body] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


def refused(text: str, code: RefusedCode) -> K.Refused:
    """A refusal, cut to what fits."""
    return K.Refused(text=text[:RANK_TEXT_CHARS_MAX], code=int(code))


class Answers:
    """Judges messages of readers. ``clock_ms`` is wall-clock time."""

    def __init__(self, key: SigningKey, clock_ms: Callable[[], int]) -> None:
        self._key = key
        self._clock_ms = clock_ms
        self._day = 0
        self._told: dict[bytes, int] = {}  # reader → signals on this day, whatever they are about
        self.dropped = 0  # signals beyond what one reader may send

    def answer(self, reader: bytes, at_ms: int, body: Body, books: Books) -> Outcome:
        """Deal with one message; ``at_ms``: when the relay stored it."""
        if isinstance(body, K.Consent):
            return _consent(books, reader, at_ms, body)
        if reader not in books.readers:
            return Outcome([] if isinstance(body, K.Signals) else [refused(_FIRST, RefusedCode.NO_CONSENT)])
        if isinstance(body, K.Signals):
            return Outcome(writes=books.apply(self._events(reader, at_ms, body)))
        if isinstance(body, K.Request):
            return self._brief(books, reader, body) if body.briefing else self._page(books, reader, body)
        if isinstance(body, K.WhyNot):
            text = books.ranker.why_not(reader, body.post, self._clock_ms(), _settings(body))
            return Outcome([K.Because(text=text[:RANK_TEXT_CHARS_MAX])])
        if isinstance(body, K.Forget):
            text = "all that was learned of you is forgotten, and goes from the disk within minutes"
            return Outcome([K.Because(text=text)], books.forget(reader, at_ms))
        return Outcome([_export(books, reader)])

    def _events(self, reader: bytes, at_ms: int, body: K.Signals) -> list[E.AnyEvent]:
        if at_ms // DAY_MS != self._day:
            self._day = at_ms // DAY_MS
            self._told.clear()
        count = self._told.get(reader, 0)
        room = max(RANK_SIGNALS_PER_DAY - count, 0)
        self.dropped += max(len(body.items) - room, 0)
        self._told[reader] = count + len(body.items)
        return [_signal(reader, at_ms, item) for item in body.items[:room]]

    def _page(self, books: Books, reader: bytes, body: K.Request) -> Outcome:
        ranker, now_ms = books.ranker, self._clock_ms()
        cursor = (body.ranking, body.place) if body.ranking else None
        try:
            page = ranker.page(reader, now_ms, _settings(body, body.count, explore=not body.plain), cursor)
        except RankingError as error:
            return Outcome([refused(str(error), RefusedCode.GONE)])
        writes: list[Write] = []
        if cursor is None:  # a new ranking is an event, which the ranker has applied itself
            whole = msgspec.structs.replace(page, items=ranker.above(reader, (page.ranking, INT_MAX)))
            writes = books.note([served(whole)])
        offsets, notes, edits = _places(books, page.items)
        return Outcome([K.Page(signed=sign_page(page, self._key), offsets=offsets, notes=notes, edits=edits)], writes)

    def _brief(self, books: Books, reader: bytes, body: K.Request) -> Outcome:
        briefing = books.ranker.briefing(reader, self._clock_ms(), _settings(body))
        offsets, notes, edits = _places(books, [one.item for one in briefing.items])
        signed = sign_briefing(briefing, self._key)
        return Outcome([K.Brief(signed=signed, offsets=offsets, notes=notes, edits=edits)])


def _consent(books: Books, reader: bytes, at_ms: int, body: K.Consent) -> Outcome:
    writes = books.consented(reader, undo=body.undo)
    if body.undo:
        writes += books.forget(reader, at_ms)
        return Outcome([K.Because(text="nothing is learned of you any more, and what was is forgotten")], writes)
    writes += books.apply([E.Follow(reader, account, at_ms) for account in body.follows])
    return Outcome([K.Because(text="this ranker learns from what you do with its pages")], writes)


def _places(
    books: Books, items: Sequence[PageItem]
) -> tuple[tuple[int, ...], tuple[tuple[bytes, int] | None, ...], tuple[int, ...]]:
    """Where posts, their notes and their newest versions lie."""
    places, edits = books.places, tuple(books.edits.get(item.post, 0) for item in items)
    offsets = tuple(places.get(item.post, (b"", 0))[1] for item in items)
    return offsets, tuple(places.get(item.note) for item in items), edits if any(edits) else ()


def _export(books: Books, reader: bytes) -> Body:
    data = json.dumps(books.ranker.export(reader), default=str).encode()
    return K.Known(data=data[:RANK_EXPORT_BYTES_MAX], cut=len(data) > RANK_EXPORT_BYTES_MAX)


def _settings(body: K.Request | K.WhyNot, count: int = 1, *, explore: bool = False) -> Settings:
    hidden, words = frozenset(body.hidden), frozenset(body.words)
    return Settings(Slider(body.bridging, body.fresh), count, hidden, muted_tags=words, explore=explore)


def _signal(reader: bytes, at_ms: int, item: K.SignalItem) -> E.Signal:
    kind = SignalKind(item.kind)
    value = item.value / 1000 if kind in (SignalKind.DWELL, SignalKind.LIKE) and item.value else 1.0
    return E.Signal(reader, item.post, kind.name.lower(), value, at_ms, item.context, item.position - 1)  # type: ignore[arg-type]
