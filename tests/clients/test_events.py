"""Events survive the vault byte for byte, with the number that the vault gave them."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from clients import events
from clients.events import AnyEvent, Event, Received, decode_event

KINDS: list[type[Event]] = list(get_args(AnyEvent))


def sample(kind: type[Event]) -> Event:
    """An event with something in every field that must be given."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name == "seq" or not field.required:
            continue
        values[field.name] = {bytes: b"b" * 32, int: 7, str: "why"}.get(field.type, (b"c" * 32,))
    return kind(**values)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_event_comes_back_with_its_number(kind: type[Event]) -> None:
    event = sample(kind)
    back = decode_event(msgspec.msgpack.encode(event), 41)
    assert back == msgspec.structs.replace(event, seq=41)
    assert type(back) is kind


def test_every_event_class_is_in_the_union() -> None:
    assert {cls for cls in vars(events).values() if isinstance(cls, type) and issubclass(cls, Event)} == {*KINDS, Event}


def test_events_of_an_older_version_still_open() -> None:
    older = {
        "type": "Received", "topic": b"t", "offset": 1, "id": b"i", "account": b"a", "device": b"d", "ts": 5,
        "content": b"c", "something_newer": 1,
    }  # fmt: skip
    back = decode_event(msgspec.msgpack.encode(older), 3)
    assert isinstance(back, Received)
    assert (back.seq, back.mine, back.doubt) == (3, False, "")
