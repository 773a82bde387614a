"""Messages between readers and rankers."""

from __future__ import annotations

import pytest

from protocol.messages import rank
from tests.protocol.messages.family import check_family, refuses

KEY = b"k" * 32


def test_the_family() -> None:
    names = {"consent", "signal", "request", "page", "brief", "whynot", "because", "forget", "export", "known"}
    check_family(rank, "rank", names | {"refused", "ship", "model"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("rank.signal", {"items": [[KEY, 1]] * 101}),
        ("rank.signal", {"items": [[KEY, 11]]}),
        ("rank.signal", {"items": [[KEY, 2, float("nan")]]}),
        ("rank.signal", {"items": [[KEY, 2, float("inf")]]}),
        ("rank.signal", {"items": [[KEY, 2, 0.5]]}),
        ("rank.signal", {"items": [[KEY, 2, -1]]}),
        ("rank.signal", {"items": [[KEY, 2, 3_600_001]]}),
        ("rank.signal", {"items": [[b"short", 1]]}),
        ("rank.request", {"count": 0, "bridging": 1}),
        ("rank.request", {"count": 51, "bridging": 1}),
        ("rank.request", {"count": 5, "bridging": 1001}),
        ("rank.request", {"count": 5, "bridging": 1, "hidden": [KEY] * 257}),
    ],
)
def test_what_is_malformed(type_name: str, body: dict[str, object]) -> None:
    refuses(type_name, body)
