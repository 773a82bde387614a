"""Messages of stakes."""

from __future__ import annotations

from protocol.messages import stake as S
from tests.protocol.messages.family import check_family


def test_the_family() -> None:
    check_family(S, "pay", {"stake", "result"})
