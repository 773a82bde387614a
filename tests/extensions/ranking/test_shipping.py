"""The shipped model gives the reader's own device the ranker's order."""

from __future__ import annotations

import pytest

from extensions.ranking.events import Follow, Note, Post, Signal
from extensions.ranking.ranker import Ranker, Settings
from extensions.ranking.shipping import model_of, personal_of
from protocol.identity import SigningKey
from protocol.scoring.local import open_model, rank_locally, sign_model
from protocol.scoring.score import Slider
from tests.extensions.ranking.test_ranker import judged
from tests.extensions.ranking.worlds import ANN, NOW, lived

RANKER = SigningKey(b"r" * 32)


def remote_and_local(ranker: Ranker, reader: bytes, slider: Slider) -> tuple[object, object]:
    model = open_model(sign_model(model_of(ranker.learner, ranker.weights, NOW), RANKER), RANKER.public)
    local = rank_locally(model, personal_of(ranker.learner, reader), ranker.weights, NOW, slider=slider, places=50)
    page = ranker._maker.rank(reader, NOW, Settings(slider, explore=False), places=50)
    told = [(item.post, item.facts, item.terms, item.score, item.note) for item in page.items]
    return told, [(item.post, item.facts, item.terms, item.score, item.note) for item in local]


@pytest.mark.parametrize("slider", [Slider(0, 0), Slider(1000, 0), Slider(300, 700)])
@pytest.mark.parametrize("reader", [b"r1", b"r2", ANN, b"nobody"])
def test_remote_and_local_agree_in_every_number(reader: bytes, slider: Slider) -> None:
    ranker = lived(120, 600)
    ranker.apply(Follow(ANN, b"author3", NOW))
    ranker.apply(Signal(ANN, b"p0007", "less", 1.0, NOW))
    remote, local = remote_and_local(ranker, reader, slider)
    assert remote == local
    assert remote


def test_lifts_and_notes_are_in_the_model() -> None:
    ranker = judged()
    remote, local = remote_and_local(ranker, ANN, Slider(1000, 0))
    assert remote == local
    model = model_of(ranker.learner, ranker.weights, NOW)
    assert max(post.lift for post in model.posts) > 0
    assert {post.note for post in model.posts} >= {b"note1"}


def test_what_is_personal_is_not_in_the_model() -> None:
    ranker = lived(60, 300)
    model = model_of(ranker.learner, ranker.weights, NOW)
    personal = personal_of(ranker.learner, b"r1")
    assert personal.history
    assert personal.features
    assert not {key for key, _ in personal.features} & {key for key, _ in model.features}
    assert personal_of(ranker.learner, b"nobody").features == ()


def test_old_posts_and_company_beyond_the_model_are_left_out() -> None:
    ranker = lived(60, 300)
    ranker.apply(Post(b"ancient", b"author1", 5))
    ranker.apply(Signal(b"r1", b"ancient", "like", 1.0, NOW))
    ranker.apply(Note(b"n", b"p0001", b"w", NOW))
    model = model_of(ranker.learner, ranker.weights, NOW)
    assert b"ancient" not in {post.id for post in model.posts}
    assert all(number < len(model.posts) for post in model.posts for number, _ in post.company)
