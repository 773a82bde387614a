"""What public entries mean for the ranker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.feed.entries import check_entry
from extensions.ranking import events as E
from extensions.ranking.public import events_of
from protocol.messages import Body
from protocol.messages import feed as F
from tests.clients.feed.entries import ANN, BOB, NOW_MS, at, raw

OTHER = at(ANN, 1)


def events(body: Body) -> list[E.AnyEvent]:
    return list(events_of(check_entry(raw(BOB, body, 2, tags=("sea",) if isinstance(body, F.Post) else ()))))


def test_posts() -> None:
    entry = check_entry(raw(BOB, F.Post(text="one two three"), 2, tags=("sea",)))
    assert events(F.Post(text="one two three")) == [
        E.Post(entry.key, BOB.account, NOW_MS, ("sea",), "post", None, 0, 3)
    ]
    assert list(events_of(replace(entry, doubt="not listed"))) == []


@pytest.mark.parametrize(
    ("body", "act"),
    [(F.Reply(to=OTHER, text="x"), "reply"), (F.Quote(of=OTHER), "share"), (F.Repost(of=OTHER), "share")],
)
def test_what_answers_or_repeats_is_a_post_and_a_signal(body: Body, act: str) -> None:
    post, signal = events(body)
    assert isinstance(post, E.Post)
    assert isinstance(signal, E.Signal)
    about = check_entry(raw(BOB, body, 2)).about_key
    assert (post.reply_to, signal.post, signal.kind, signal.reader) == (about, about, act, BOB.account)


def test_the_rest() -> None:
    about = check_entry(raw(BOB, F.Like(of=OTHER), 2)).about_key
    assert events(F.Like(of=OTHER)) == [E.Signal(BOB.account, about, "like", 1.0, NOW_MS)]
    assert events(F.Like(of=OTHER, undo=True)) == []
    mine = at(BOB, 1)
    (edited,) = events(F.Edit(of=mine, text="a b"))
    assert isinstance(edited, E.Edited)
    assert edited.words == 2
    (deleted,) = events(F.Delete(of=mine))
    assert isinstance(deleted, E.Deleted)
    assert deleted.post == edited.post
    assert events(F.Follow(account=ANN.account)) == [E.Follow(BOB.account, ANN.account, NOW_MS, True)]
    assert events(F.Follow(account=ANN.account, undo=True)) == [E.Follow(BOB.account, ANN.account, NOW_MS, False)]
    (note,) = events(F.Note(of=OTHER, text="so", sources=("https://a.example",)))
    assert isinstance(note, E.Note)
    assert (note.post, note.sources) == (about, ("https://a.example",))
    assert events(F.Rating(of=OTHER, helpful=1)) == [E.NoteRating(about, BOB.account, NOW_MS, 0.5)]
    assert events(F.Profile(name="Bob")) == []
    assert events(F.Label(of=OTHER, label="sea")) == []
