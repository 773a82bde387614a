"""``sync.*``: what devices of one account tell each other."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.limits import FEED_LIST_CHARS_MAX, SYNC_ITEMS_MAX, SYNC_NAME_CHARS_MAX
from protocol.messages import compose, sync
from tests.protocol.messages.family import check_family, refuses

KEY, TOKEN = b"k" * 32, b"t" * 16


def test_the_family() -> None:
    names = {"contacts", "verified", "tokens", "blocks", "mutes", "reads", "follows", "hidden", "lists", "own", "ask"}
    check_family(sync, "sync", names)


def test_the_longest_message_fits() -> None:
    items = ((KEY, "\U0001f422" * SYNC_NAME_CHARS_MAX),) * SYNC_ITEMS_MAX
    said = ((2**53 - 1, 2**53 - 1),) * SYNC_ITEMS_MAX
    compose(sync.Contacts(items=items, said=said))
    compose(sync.Lists(items=((KEY, "\U0001f422" * FEED_LIST_CHARS_MAX, KEY),) * SYNC_ITEMS_MAX, said=said))


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("sync.contacts", {"items": [[KEY, "n" * (SYNC_NAME_CHARS_MAX + 1)]]}),
        ("sync.contacts", {"items": [[KEY, "n"]] * (SYNC_ITEMS_MAX + 1)}),
        ("sync.contacts", {"items": [[KEY[:31], "n"]]}),
        ("sync.contacts", {}),
        ("sync.verified", {"items": [[KEY, 3, 1]]}),
        ("sync.tokens", {"items": [[KEY, TOKEN[:15]]]}),
        ("sync.blocks", {"items": [[KEY, 1]]}),
        ("sync.mutes", {"items": [[KEY, -1]]}),
        ("sync.reads", {"items": [[KEY, 1]]}),
        ("sync.reads", {"items": [[KEY, 1, 1]], "said": [[1]]}),
        ("sync.lists", {"items": [[KEY, "", KEY]]}),
        ("sync.lists", {"items": [[KEY, "n" * (FEED_LIST_CHARS_MAX + 1), KEY]]}),
        ("sync.lists", {"items": [[KEY, "sea", KEY + b"k"]]}),
        ("sync.own", {"items": [[KEY, TOKEN, []], [KEY, TOKEN, []]]}),
    ],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
