"""Messages of feeds."""

from __future__ import annotations

import pytest

from protocol.messages import feed
from tests.protocol.messages.family import check_family, refuses

TARGET = [b"a" * 32, b"i" * 16, 3, b""]


def test_the_family() -> None:
    names = {"post", "reply", "quote", "repost", "like", "follow", "edit", "delete", "label", "profile", "note"}
    check_family(feed, "feed", names | {"list", "rating"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("feed.post", {"text": "x" * 4001}),
        ("feed.reply", {"text": "to nobody"}),
        ("feed.like", {"of": [b"a" * 31, b"i" * 16, 3, b""]}),
        ("feed.like", {"of": [b"a" * 32, b"i" * 16, -1, b""]}),
        ("feed.label", {"of": TARGET, "label": ""}),
        ("feed.rating", {"of": TARGET, "helpful": 3}),
        ("feed.rating", {"of": TARGET, "helpful": float("nan")}),
        ("feed.note", {"of": TARGET, "text": "", "sources": []}),
        ("feed.note", {"of": TARGET, "text": "why", "sources": ["s"] * 5}),
    ],
)
def test_what_is_malformed(type_name: str, body: dict[str, object]) -> None:
    refuses(type_name, body)
