"""``group.*``: what members agree on about their conversation."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import group
from tests.protocol.messages.family import check_family, refuses


def test_the_family() -> None:
    check_family(group, "group", {"title", "restarted"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("group.title", {}),
        ("group.title", {"title": "x" * 129}),
        ("group.restarted", {}),
        ("group.restarted", {"reason": "x" * 257}),
    ],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
