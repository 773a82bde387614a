"""``chat.*``: bounds of what people read."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.limits import TEXT_CHARS_MAX
from protocol.messages import chat
from tests.protocol.messages.family import check_family, refuses
from tests.protocol.samples import filler

KEY = filler("key", 32)
MEDIA: dict[str, Any] = {"name": "a.png", "mime": "image/png", "size": 1, "key": KEY, "chunks": [KEY]}


def test_the_family() -> None:
    check_family(chat, "chat", {"text", "media", "reaction", "edit", "delete", "poll", "vote"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("chat.text", {}),
        ("chat.text", []),
        ("chat.text", None),
        ("chat.text", {"text": ""}),
        ("chat.text", {"text": b"bytes"}),
        ("chat.text", {"text": "x" * (TEXT_CHARS_MAX + 1)}),
        ("chat.text", {"text": "x", "mentions": [KEY] * 65}),
        ("chat.text", {"text": "x", "mentions": [KEY[:31]]}),
        ("chat.media", {**MEDIA, "size": -1}),
        ("chat.media", {**MEDIA, "name": ""}),
        ("chat.media", {**MEDIA, "mime": "x" * 129}),
        ("chat.media", {**MEDIA, "chunks": [KEY] * 901}),
        ("chat.media", {name: value for name, value in MEDIA.items() if name != "key"}),
        ("chat.reaction", {"emoji": "x" * 17}),
        ("chat.edit", {"text": ""}),
        ("chat.poll", {"question": "?", "options": ["one"]}),
        ("chat.poll", {"question": "?", "options": ["o"] * 21}),
        ("chat.poll", {"question": "?", "options": ["a", "b"], "choices": 0}),
        ("chat.vote", {"choices": [20]}),
        ("chat.vote", {"choices": [-1]}),
        ("chat.vote", {"choices": 1}),
    ],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
