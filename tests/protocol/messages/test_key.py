"""``key.*``: what devices tell each other about keys."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.messages import key
from tests.protocol.messages.family import check_family, refuses
from tests.protocol.samples import ID, TOPIC


def test_the_family() -> None:
    check_family(key, "key", {"readmit", "failed", "contact", "linked"})


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("key.readmit", {"topic": TOPIC[:31], "group": 0, "fence": 1}),
        ("key.readmit", {"topic": TOPIC, "group": 0}),
        ("key.readmit", {"topic": TOPIC, "group": -1, "fence": 1}),
        ("key.failed", {"topic": TOPIC, "id": ID[:15], "offset": 1}),
        ("key.failed", {"topic": TOPIC, "id": ID}),
        ("key.contact", {"token": ID[:15]}),
        ("key.contact", {"token": ID + b"x"}),
        ("key.contact", {}),
    ],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
