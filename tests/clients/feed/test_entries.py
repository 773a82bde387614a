"""What counts as an entry."""

from __future__ import annotations

import pytest
from msgspec import structs

from clients.feed.entries import about_of, check_entry
from protocol.codec import encode_struct
from protocol.feeds import ERASE, PUBLIC, FeedError, FeedHeader, erasing
from protocol.ids import entry_key, followers_key, lists_key, profile_key
from protocol.messages import compose
from protocol.messages import feed as F
from protocol.messages.chat import Text
from protocol.requests import FeedEntry
from tests.clients.feed.entries import ANN, BOB, at, raw


def test_a_good_one() -> None:
    entry = check_entry(raw(ANN, F.Post(text="hello"), tags=("sea",)))
    assert (entry.kind, entry.text, entry.tags, entry.media, entry.about, entry.about_key) == (
        "post", "hello", ("sea",), (), None, b""
    )  # fmt: skip
    assert entry.key == entry_key(ANN.account, entry.id)
    assert "hello" not in repr(entry)
    like = check_entry(raw(BOB, F.Like(of=entry.target), 2))
    assert (like.about, like.about_key, like.text) == (entry.target, entry.key, "")


def test_what_bodies_are_about() -> None:
    assert about_of(ANN.account, F.Post(text="x")) == b""
    assert about_of(ANN.account, F.Profile()) == profile_key(ANN.account)
    assert about_of(ANN.account, F.Follow(account=BOB.account)) == followers_key(BOB.account)
    assert about_of(ANN.account, F.List(name="sea")) == lists_key(ANN.account)
    target = at(BOB, 3)
    assert about_of(ANN.account, F.Reply(to=target)) == entry_key(target.account, target.id)


def moved(entry: FeedEntry, **changed: object) -> FeedEntry:
    return structs.replace(entry, **changed)


GOOD = raw(ANN, F.Post(text="hello"))
BAD = {
    "not public": moved(GOOD, flags=0),
    "of somebody else": moved(GOOD, account=BOB.account),
    "by another device": moved(GOOD, device=BOB.device),
    "under another id": moved(GOOD, id=bytes(16)),
    "with another header": moved(GOOD, header=encode_struct(FeedHeader("post", ("lies",)))),
    "with no header": raw(ANN, F.Post(text="x"), header=b"\xc1"),
    "of another kind": raw(ANN, F.Post(text="x"), header=encode_struct(FeedHeader("repost"))),
    "chat": raw(ANN, F.Post(text="x"), content=compose(Text(text="x"))),
    "unknown": raw(ANN, F.Post(text="x"), content=b"\x82\xa1t\xa9feed.post\xa1v\x63", header=None),
    "no content": raw(ANN, F.Post(text="x"), content=b"\xc1"),
    "about another entry": raw(ANN, F.Like(of=at(BOB, 1)), header=encode_struct(FeedHeader("like", (), bytes(32)))),
    "an edit of what others said": raw(ANN, F.Edit(of=at(BOB, 1), text="x")),
    "taking back what others said": raw(ANN, F.Delete(of=at(BOB, 1))),
    "taking back another one than it says": raw(
        ANN, F.Delete(of=at(ANN, 1)), header=erasing(2), flags=PUBLIC | ERASE
    ),
    "taking back without erasing": raw(ANN, F.Delete(of=at(ANN, 1)), header=encode_struct(FeedHeader("delete"))),
    "a post that erases": raw(ANN, F.Post(text="x"), header=erasing(1), flags=PUBLIC | ERASE),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_none(name: str) -> None:
    with pytest.raises(FeedError):
        check_entry(BAD[name])
