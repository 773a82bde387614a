"""``sys.*``: messages about messages."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import sys
from tests.protocol.messages.family import check_family, refuses


def test_the_family() -> None:
    check_family(sys, "sys", {"unsupported"})


@pytest.mark.parametrize("body", [{}, {"t": "pay.loan"}, {"t": "x" * 65, "v": 1}, {"t": "pay.loan", "v": 0}])
def test_malformed(body: Any) -> None:
    refuses("sys.unsupported", body)
