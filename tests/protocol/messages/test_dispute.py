"""Messages of disputes."""

from __future__ import annotations

from protocol.messages import dispute as D
from tests.protocol.messages.family import check_family


def test_the_family() -> None:
    check_family(D, "pay", {"dispute", "case"})
