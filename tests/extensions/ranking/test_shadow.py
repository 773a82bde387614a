"""A second configuration: it learns what is learned, is compared, and changes nothing."""

from __future__ import annotations

import random

import msgspec
import pytest

from extensions.ranking.events import Signal
from extensions.ranking.ranker import Settings, served
from extensions.ranking.shadow import Configuration, Shadow
from extensions.ranking.shop import Shop
from protocol.scoring.page import Page
from protocol.scoring.weights import Weights
from tests.extensions.ranking.test_shop import Database
from tests.extensions.ranking.worlds import ANN, NOW, lived, posts, signals

READERS = [b"r%d" % number for number in range(10)]


def read_on(shop: Shop, rounds: int = 30) -> list[Page]:
    """Readers ask for pages, and like a post on each; the pages."""
    chance = random.Random(5)
    pages: list[Page] = []
    for turn in range(rounds):
        reader = chance.choice(READERS)
        page = shop.ranker.page(reader, NOW + 1_000_000 + turn, Settings(count=10))
        whole = shop.ranker.above(reader, (page.ranking, 100))
        shop.note([served(msgspec.structs.replace(page, items=whole))])
        place = chance.randrange(len(page.items))
        shop.apply([Signal(reader, page.items[place].post, "like", 1.0, NOW + 1_000_500 + turn, page.ranking, place)])
        pages.append(page)
    return pages


def opened(beside: Configuration | None, database: Database | None = None) -> Shop:
    shop = Shop((database or Database()).query, beside=beside)
    if database is None:
        shop.apply([*posts(60), *signals(300, 60)])
    return shop


def test_it_is_never_served_and_learns_everything() -> None:
    plain, beside = opened(None), opened(Configuration(head_rate=0.6, place_rate=0.01))
    assert read_on(plain) == read_on(beside)
    assert plain.ranker.snapshot() == beside.ranker.snapshot()
    assert beside.shadow is not None
    told = beside.shadow.statistics()
    assert beside.shadow.ranker.statistics().events == beside.ranker.statistics().events
    assert told.compared == 30
    assert 0 < told.live <= 1
    assert told.better + told.worse > 0
    assert told.shadow != told.live
    assert told.drift != beside.ranker.statistics().drift


def test_the_same_configuration_is_neither_better_nor_worse() -> None:
    shop = opened(Configuration())
    read_on(shop)
    assert shop.shadow is not None
    told = shop.shadow.statistics()
    assert (told.better, told.worse, told.live) == (0, 0, told.shadow)
    assert shop.shadow.ranker.snapshot() == shop.ranker.snapshot()


def test_other_weights_put_posts_elsewhere() -> None:
    shop = opened(Configuration(Weights(version=2, actions=(-5000, 0, 0, 0, 0, 0, 0))))
    read_on(shop)
    assert shop.shadow is not None
    told = shop.shadow.statistics()
    assert told.better + told.worse > 10


def test_it_begins_with_the_snapshot_and_the_rest_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extensions.ranking.shop.SNAPSHOT_EVERY", 10)
    database = Database()
    before = Shop(database.query)
    database.write(before.apply([*posts(20)]))
    database.write(before.snapshot())
    database.write(before.apply(signals(50, 20)))
    shop = opened(Configuration(), database)
    assert shop.shadow is not None
    assert shop.shadow.ranker.snapshot() == before.ranker.snapshot()


def test_what_cannot_be_compared_is_not() -> None:
    ranker = lived(30, 100)
    shadow = Shadow(ranker, Configuration(), ranker.snapshot())
    page = ranker.page(ANN, NOW, Settings(count=5))
    post = page.items[0].post
    one = ranker.page(b"r1", NOW, Settings(count=5))
    ranker.learner.served[b"r1"][one.ranking] = (NOW, (post,))  # a page of one
    for event in (
        Signal(ANN, post, "view", 1.0, NOW, page.ranking, 0),
        Signal(ANN, post, "like", 1.0, NOW, b"?", 0),
        Signal(ANN, b"p0000x", "like", 1.0, NOW, page.ranking, 0),
        Signal(b"r1", post, "like", 1.0, NOW, one.ranking, 0),
    ):
        shadow.apply(event)
    assert shadow.statistics().compared == 0
    assert shadow.statistics().live == 0.0


def test_a_file_says_what_is_otherwise() -> None:
    found = msgspec.json.decode(b'{"rules": {"side_min": 4}, "head_rate": 0.1}', type=Configuration)
    assert (found.rules.side_min, found.head_rate, found.weights) == (4, 0.1, Weights())
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"rats": 1}', type=Configuration)
