"""Events of the log, to bytes and back."""

from __future__ import annotations

import msgspec
import pytest

from extensions.ranking.events import (
    KINDS,
    AnyEvent,
    Deleted,
    Edited,
    Follow,
    Forget,
    Note,
    NoteRating,
    Post,
    Signal,
    from_bytes,
    to_bytes,
)

EVENTS: tuple[AnyEvent, ...] = (
    Post(b"p", b"a", 1, ("t",), "reply", b"q", 1, 20),
    Edited(b"p", 2, ("u",)),
    Deleted(b"p", 3),
    Follow(b"r", b"a", 5, False),
    Note(b"n", b"p", b"a", 6, ("https://example.org",)),
    NoteRating(b"n", b"r", 7, 0.5),
    Forget(b"r", 8),
    *(Signal(b"r", b"p", kind, 2.5, 4, b"c", 3) for kind in KINDS),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_back_from_bytes(event: AnyEvent) -> None:
    assert from_bytes(to_bytes(event)) == event


def test_what_is_no_event_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        from_bytes(b"\x92\xa4nope\x01")
    with pytest.raises(msgspec.DecodeError):
        from_bytes(to_bytes(EVENTS[-1]).replace(b"report", b"reborn"))
