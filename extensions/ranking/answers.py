"""What the ranker says to its readers: decisions on one message at a time, without I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from extensions.ranking import events as E
from extensions.ranking.ranker import RankingError, Settings, served
from extensions.ranking.shop import Shop, Write
from protocol.identity import SigningKey
from protocol.limits import INT_MAX, RANK_EXPORT_BYTES_MAX, RANK_SIGNALS_PER_DAY, RANK_TEXT_CHARS_MAX
from protocol.messages import Body
from protocol.messages import rank as K
from protocol.messages.rank import SignalKind
from protocol.scoring.page import PageItem, sign_briefing, sign_page
from protocol.scoring.score import Slider

DAY_MS: Final = 86_400_000
_FIRST: Final = "you have not opted in to this ranker; nothing is learned of you, and nothing is ranked"


@dataclass(slots=True)
class Outcome:
    """Answers, and what to write with them."""

    says: list[Body] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


class Answers:
    """Judges messages of readers. ``clock_ms`` is wall-clock time."""

    def __init__(self, shop: Shop, key: SigningKey, clock_ms: Callable[[], int]) -> None:
        self._shop = shop
        self._key = key
        self._clock_ms = clock_ms
        self._day = 0
        self._told: dict[bytes, int] = {}  # reader → signals on this day
        self.dropped = 0  # signals beyond what one reader may send

    def answer(self, reader: bytes, at_ms: int, body: Body) -> Outcome:
        """Deal with one message; ``at_ms``: when the relay stored it."""
        if isinstance(body, K.Consent):
            return self._consent(reader, at_ms, body)
        if reader not in self._shop.readers:
            return Outcome([] if isinstance(body, K.Signals) else [K.Refused(text=_FIRST)])
        if isinstance(body, K.Signals):
            return Outcome(writes=self._shop.apply(self._events(reader, at_ms, body)))
        if isinstance(body, K.Request):
            return self._brief(reader, body) if body.briefing else self._page(reader, body)
        if isinstance(body, K.WhyNot):
            text = self._shop.ranker.why_not(reader, body.post, self._clock_ms(), _settings(body))
            return Outcome([K.Because(text=text[:RANK_TEXT_CHARS_MAX])])
        if isinstance(body, K.Forget):
            text = "all that was learned of you is forgotten, and goes from the disk within minutes"
            return Outcome([K.Because(text=text)], self._shop.forget(reader, at_ms))
        return Outcome([self._export(reader)])

    def _consent(self, reader: bytes, at_ms: int, body: K.Consent) -> Outcome:
        writes = self._shop.consented(reader, undo=body.undo)
        if body.undo:
            writes += self._shop.forget(reader, at_ms)
            return Outcome([K.Because(text="nothing is learned of you any more, and what was is forgotten")], writes)
        writes += self._shop.apply([E.Follow(reader, account, at_ms) for account in body.follows])
        return Outcome([K.Because(text="this ranker learns from what you do with its pages")], writes)

    def _events(self, reader: bytes, at_ms: int, body: K.Signals) -> list[E.AnyEvent]:
        if at_ms // DAY_MS != self._day:
            self._day = at_ms // DAY_MS
            self._told.clear()
        count = self._told.get(reader, 0)
        room = max(RANK_SIGNALS_PER_DAY - count, 0)
        self.dropped += max(len(body.items) - room, 0)
        self._told[reader] = count + len(body.items)
        return [_signal(reader, at_ms, item) for item in body.items[:room]]

    def _page(self, reader: bytes, body: K.Request) -> Outcome:
        ranker, now_ms = self._shop.ranker, self._clock_ms()
        cursor = (body.ranking, body.place) if body.ranking else None
        try:
            page = ranker.page(reader, now_ms, _settings(body, body.count, explore=not body.plain), cursor)
        except RankingError as error:
            return Outcome([K.Refused(text=str(error)[:RANK_TEXT_CHARS_MAX])])
        writes: list[Write] = []
        if cursor is None:  # a new ranking is an event, which the ranker has applied itself
            whole = msgspec.structs.replace(page, items=ranker.above(reader, (page.ranking, INT_MAX)))
            writes = self._shop.note([served(whole)])
        offsets, notes = self._places(page.items)
        return Outcome([K.Page(signed=sign_page(page, self._key), offsets=offsets, notes=notes)], writes)

    def _brief(self, reader: bytes, body: K.Request) -> Outcome:
        briefing = self._shop.ranker.briefing(reader, self._clock_ms(), _settings(body))
        offsets, notes = self._places([one.item for one in briefing.items])
        return Outcome([K.Brief(signed=sign_briefing(briefing, self._key), offsets=offsets, notes=notes)])

    def _places(self, items: Sequence[PageItem]) -> tuple[tuple[int, ...], tuple[tuple[bytes, int] | None, ...]]:
        places = self._shop.places
        return tuple(places.get(item.post, (b"", 0))[1] for item in items), tuple(places.get(i.note) for i in items)

    def _export(self, reader: bytes) -> Body:
        data = json.dumps(self._shop.ranker.export(reader), default=str).encode()
        return K.Known(data=data[:RANK_EXPORT_BYTES_MAX], cut=len(data) > RANK_EXPORT_BYTES_MAX)


def _settings(body: K.Request | K.WhyNot, count: int = 1, *, explore: bool = False) -> Settings:
    hidden, words = frozenset(body.hidden), frozenset(body.words)
    return Settings(Slider(body.bridging, body.fresh), count, hidden, muted_tags=words, explore=explore)


def _signal(reader: bytes, at_ms: int, item: K.SignalItem) -> E.Signal:
    kind = SignalKind(item.kind)
    value = item.value / 1000 if kind in (SignalKind.DWELL, SignalKind.LIKE) and item.value else 1.0
    return E.Signal(reader, item.post, kind.name.lower(), value, at_ms, item.context, item.position - 1)  # type: ignore[arg-type]
