"""Scoring on the reader's own device; that the ranker agrees is shown beside `extensions.ranking.shipping`."""

from __future__ import annotations

from array import array

import msgspec
import pytest

from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.scoring.local import (
    DIMENSIONS,
    UNIT,
    LocalScorer,
    Model,
    ModelPost,
    Personal,
    level,
    open_model,
    rank_locally,
    recency_weights,
    sign_model,
)
from protocol.scoring.page import Page, check_page
from protocol.scoring.score import Slider
from protocol.scoring.signed import ScoringError
from protocol.scoring.weights import ACTIONS, DEFAULT

RANKER = SigningKey(b"r" * 32)
NOW = 1_700_000_000_000


def place(*coordinates: float) -> bytes:
    values = [round(UNIT * one) for one in coordinates] + [0] * (DIMENSIONS - len(coordinates))
    return array("i", values).tobytes()


NOWHERE = place()


def post(
    number: int, *, author: str = "", tags: tuple[str, ...] = (), at: bytes = NOWHERE, to: bytes = NOWHERE
) -> ModelPost:
    who = (author or f"author{number}").encode()
    return ModelPost(b"p%d" % number, who, NOW, tags, "post", 0, 9, 0.0, 0.0, 0.0, 0.0, at, to, (), 0, b"")


def model(*posts: ModelPost) -> Model:
    blend = ((1.0, 0.0, 1.0, 1.0),) * 5
    return Model(NOW, 1, blend, (-2.0,) * len(ACTIONS), (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0), posts, ())


def order(made: Model, personal: Personal, **more: object) -> list[bytes]:
    return [item.post for item in rank_locally(made, personal, DEFAULT, NOW, **more)]  # type: ignore[arg-type]


def test_a_model_is_signed() -> None:
    data = sign_model(model(post(1)), RANKER)
    assert open_model(data, RANKER.public) == model(post(1))
    with pytest.raises(ScoringError, match="not signed"):
        open_model(data, SigningKey(b"x" * 32).public)
    with pytest.raises(RemoteProtocolError):
        open_model(sign_model(model(msgspec.structs.replace(post(1), target=b"short")), RANKER), RANKER.public)


def test_what_lies_near_the_history_comes_first() -> None:
    made = model(post(1, at=place(1.0, 0.0)), post(2, to=place(0.0, 1.0)), post(3, to=place(1.0, 0.0)))
    reader = Personal(b"me", 1, (b"p1", b"gone"), frozenset([b"p1"]))
    assert order(made, reader) == [b"p3", b"p2"]


def test_company_of_the_history_counts() -> None:
    first = msgspec.structs.replace(post(1), company=((2, 5.0), (2, 1.0)))
    made = model(first, post(2), post(3))
    assert order(made, Personal(b"me", 1, (b"p1",), frozenset([b"p1"]))) == [b"p3", b"p2"]


def test_a_feature_and_a_wish_for_less_count() -> None:
    from protocol.scoring.hashing import cross, name

    made = model(post(1, tags=("a",)), post(2, tags=("b",)), post(3))
    liking = cross(name("reader", b"me"), name("tag", b"b")).to_bytes(8, "little")
    reader = Personal(b"me", features=((liking, (0, 0, 2_000_000, 0, 0, 0, 0)),))
    assert order(made, reader)[0] == b"p2"
    less = msgspec.structs.replace(reader, less=frozenset([name("tag", b"a").to_bytes(8, "little")]))
    assert order(made, less)[-1] == b"p1"
    hide = ACTIONS.index("hide")
    facts = [LocalScorer(made, who).facts(0, NOW) for who in (reader, less)]
    assert facts[1].probabilities[hide] > 4 * facts[0].probabilities[hide]


def test_followed_authors_have_a_feature_of_their_own() -> None:
    from protocol.scoring.local import FOLLOWED

    made = msgspec.structs.replace(
        model(post(1), post(2)), features=((FOLLOWED.to_bytes(8, "little"), (0, 0, 1_000_000, 0, 0, 0, 0)),)
    )
    assert order(made, Personal(b"me", follows=frozenset([b"author2"])))[0] == b"p2"


def test_hidden_seen_and_own_posts_are_left_out_and_the_page_adds_up() -> None:
    made = model(*(post(n, author=f"a{n % 4}", tags=("t",)) for n in range(20)))
    reader = Personal(b"a1", seen=frozenset([b"p2"]))
    items = rank_locally(made, reader, DEFAULT, NOW, slider=Slider(0, 0), hidden=[b"a3"], sources={b"p4": "follows"})
    assert {item.author for item in items} == {b"a0", b"a2"}
    assert b"p2" not in {item.post for item in items}
    assert {item.source for item in items} <= {"follows", "local"}
    check_page(Page(b"", 0, NOW, 1, Slider(0, 0), items), DEFAULT)


def test_a_model_for_other_weights_is_refused() -> None:
    with pytest.raises(ScoringError, match="for weights 7"):
        rank_locally(msgspec.structs.replace(model(post(1)), weights=7), Personal(b"me"), DEFAULT, NOW)


def test_recent_posts_weigh_most_and_levels_follow_what_is_known() -> None:
    weights = recency_weights(8)
    assert weights == sorted(weights, reverse=True)
    assert sum(one * one for one in weights) == pytest.approx(UNIT * UNIT, rel=1e-4)
    assert weights[4] == pytest.approx(weights[0] / 2, abs=1)
    assert recency_weights(0) == []
    assert [level(n) for n in (0, 1, 2, 7, 63, 10**9)] == [0, 0, 1, 2, 4, 4]
