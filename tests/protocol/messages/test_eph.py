"""``eph.*``: notices that are never stored."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import eph
from tests.protocol.messages.family import check_family, refuses


def test_the_family() -> None:
    check_family(eph, "eph", {"typing", "presence"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [("eph.typing", {"on": 1}), ("eph.typing", {"on": None}), ("eph.presence", {"status": "x" * 65})],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
