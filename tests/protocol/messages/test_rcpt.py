"""``rcpt.*``: receipts say how far, with both halves of a position."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import rcpt
from tests.protocol.messages.family import check_family, refuses


def test_the_family() -> None:
    check_family(rcpt, "rcpt", {"delivered", "read"})


@pytest.mark.parametrize("type_name", ["rcpt.delivered", "rcpt.read"])
@pytest.mark.parametrize(
    "body", [{}, {"generation": 1}, {"offset": 1}, {"generation": 1, "offset": -1}, {"generation": 1, "offset": 2**53}]
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
