"""What public entries mean for a ranker. Pure: entries in, events out, in the order of the log they come from."""

from __future__ import annotations

from collections.abc import Iterator

from clients.feed.entries import Entry
from extensions.ranking import events as E
from protocol.messages import feed as F

_ACTS = {F.Reply: "reply", F.Quote: "share", F.Repost: "share"}


def events_of(entry: Entry) -> Iterator[E.AnyEvent]:
    """The events of one entry. What a device has said that is not on its author's list counts for nothing."""
    body, at_ms = entry.body, entry.ts
    if entry.doubt:
        return
    if isinstance(body, F.Post | F.Reply | F.Quote | F.Repost):
        words = len(entry.text.split())
        yield E.Post(
            entry.key, entry.account, at_ms, entry.tags, entry.kind, entry.about_key or None, len(entry.media), words
        )  # fmt: skip
        act = _ACTS.get(type(body))
        if act is not None:
            yield E.Signal(entry.account, entry.about_key, act, 1.0, at_ms)  # type: ignore[arg-type]
    elif isinstance(body, F.Like):
        if not body.undo:
            yield E.Signal(entry.account, entry.about_key, "like", 1.0, at_ms)
    elif isinstance(body, F.Edit):
        yield E.Edited(entry.about_key, at_ms, (), len(entry.media), len(entry.text.split()))
    elif isinstance(body, F.Delete):
        yield E.Deleted(entry.about_key, at_ms)
    elif isinstance(body, F.Follow):
        yield E.Follow(entry.account, body.account, at_ms, not body.undo)
    elif isinstance(body, F.Note):
        yield E.Note(entry.key, entry.about_key, entry.account, at_ms, body.sources)
    elif isinstance(body, F.Rating):
        yield E.NoteRating(entry.about_key, entry.account, at_ms, body.helpful / 2)
