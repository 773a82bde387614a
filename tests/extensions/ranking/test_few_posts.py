"""A town with few posts is ranked like any other: nothing is lost to exploration, and nothing at all is a page."""

from __future__ import annotations

import pytest

from extensions.ranking import events as E
from extensions.ranking.ranker import Ranker, Settings

NOW_MS = 1_750_000_000_000
BOB = b"b" * 32


def test_nothing_is_a_page() -> None:
    page = Ranker().page(BOB, NOW_MS, Settings())
    assert (page.items, page.next) == ((), None)
    assert Ranker().briefing(BOB, NOW_MS).items == ()


@pytest.mark.parametrize("count", [1, 3, 21])
def test_every_post_is_somewhere(count: int) -> None:
    ranker = Ranker()
    for number in range(count):
        author = bytes([number]) * 32
        ranker.apply(E.Post(bytes([number]) * 16, author, NOW_MS - 60_000, (f"t{number}",)))
    page = ranker.page(BOB, NOW_MS, Settings(count=50))
    assert len({item.post for item in page.items}) == count
