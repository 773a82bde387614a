"""Feeds joined and merged: order, edits, what was taken back, gaps, and what is not shown."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from clients.feed import shown
from clients.feed.entries import Entry, check_entry
from clients.feed.shown import Filter, Gap, Item, Log, merged
from protocol.messages import feed as F
from tests.clients.feed.entries import ANN, BOB, NOW_MS, at, raw
from tests.support.feeds import texts
from tests.support.people import Person

NOTHING = Filter()


def post(by: Person, offset: int, text: str, ts: int = NOW_MS) -> Entry:
    return check_entry(raw(by, F.Post(text=text), offset, ts=ts))


def log_of(by: Person, entries: Iterable[Entry], low: int = 0) -> Log:
    log = Log(by.account)
    log.begin(1, low)
    for entry in entries:
        log.add(entry)
        log.high = max(log.high, entry.offset)
    return log


def page(*logs: Log, hide: Filter = NOTHING, seen: int = 0) -> list[str]:
    return texts(merged(logs, lambda account: seen, hide, None, 9))


@given(st.lists(st.tuples(st.sampled_from([ANN, BOB]), st.integers(0, 5)), max_size=12), st.integers(1, 4))
def test_pages_join_to_the_whole(said: list[tuple[Person, int]], limit: int) -> None:
    entries: dict[bytes, list[Entry]] = {ANN.account: [], BOB.account: []}
    for by, step in said:
        mine = entries[by.account]
        ts = (mine[-1].ts if mine else NOW_MS) + step
        mine.append(post(by, len(mine) + 1, f"{by.name}{len(mine)}", ts))
    logs = [log_of(by, entries[by.account]) for by in (ANN, BOB)]
    whole = merged(logs, lambda account: 0, NOTHING, None, 99)
    assert [item.cursor for item in whole] == sorted((item.cursor for item in whole), reverse=True)
    assert len(whole) == len(said)
    found: list[Item | Gap] = []
    while True:
        part = merged(logs, lambda account: 0, NOTHING, found[-1].cursor if found else None, limit)
        if not part:
            break
        found += part
    assert found == whole


def test_edits_whatever_order_they_come_in() -> None:
    first = post(ANN, 1, "one")
    edits = [check_entry(raw(ANN, F.Edit(of=at(ANN, 1), text=text), n)) for n, text in ((2, "two"), (3, "three"))]
    for entries in ([first, *edits], [edits[1], edits[0], edits[0], first]):
        item = log_of(ANN, entries).item(first)
        assert item is not None
        assert (item.text, item.edits) == ("three", 2)


def test_what_was_taken_back() -> None:
    first, other = post(ANN, 1, "one"), post(ANN, 2, "two")
    taken = check_entry(raw(ANN, F.Delete(of=at(ANN, 1)), 3))
    log = log_of(ANN, [first, other, taken])
    log.holes[1] = 1
    assert page(log) == ["two"]  # and no gap: it is known what is missing
    elsewhere = check_entry(raw(ANN, F.Delete(of=F.Target(ANN.account, bytes(16), 2)), 4))
    log.add(elsewhere)
    assert page(log) == ["two"]  # another entry was meant


def test_gaps_are_shown_where_they_are() -> None:
    log = log_of(ANN, [post(ANN, 5, "five", NOW_MS + 5), post(ANN, 9, "nine", NOW_MS + 9)], low=4)
    log.holes[6] = 8
    assert page(log) == ["nine", "gap 6-8", "five", "gap 1-4"]
    assert page(log, seen=4) == ["nine", "gap 6-8", "five"]
    assert [gap.gone for gap in log.gaps(0)] == [True, False]
    lonely = log_of(ANN, [], low=3)
    assert page(lonely) == ["gap 1-3"]


def test_what_is_not_shown() -> None:
    mine = log_of(ANN, [post(ANN, 1, "Sports and SEA"), check_entry(raw(ANN, F.Repost(of=at(BOB, 1)), 2))])
    theirs = log_of(BOB, [post(BOB, 1, "hello"), check_entry(raw(BOB, F.Like(of=at(ANN, 1)), 2))])
    assert sorted(page(mine, theirs)) == ["", "Sports and SEA", "hello"]
    assert page(mine, theirs, hide=Filter(lambda account: account == BOB.account)) == ["Sports and SEA"]
    assert "Sports and SEA" not in page(mine, theirs, hide=Filter(words=("sea",)))


def test_not_everything_is_kept() -> None:
    log = Log(ANN.account)
    entry = post(ANN, 1, "x")
    for offset in range(1, shown.KEPT_MAX + 3):
        log.entries[offset] = entry
    log.trim()
    assert (len(log.entries), log.low) == (shown.KEPT_MAX, 2)


def test_the_latest_profile_counts() -> None:
    new, old = (check_entry(raw(ANN, F.Profile(name=name), offset)) for name, offset in (("new", 4), ("old", 2)))
    log = log_of(ANN, [new, old])
    assert log.profile == new
