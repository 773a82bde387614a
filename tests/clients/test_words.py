"""Words: whatever order they come in, whoever repeats them, everybody ends with the same."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from clients import words as W
from clients.words import Word, beats, bodies, normal, unsaid, words_of, yields
from protocol.limits import SYNC_ITEMS_MAX
from protocol.messages import compose, parse
from protocol.messages.sync import Contacts, Mutes, Words

ANN, BEN = b"a" * 32, b"b" * 32
positions = st.tuples(st.just(1), st.integers(1, 9))
values = {
    W.CONTACTS: st.tuples(st.sampled_from(["x", "y", None])),
    W.VERIFIED: st.tuples(st.integers(0, 2), st.integers(0, 3)),
    W.MUTES: st.tuples(st.integers(0, 3)),
    W.READS: st.tuples(st.integers(1, 2), st.integers(0, 5)),
}
words = st.sampled_from(sorted(values)).flatmap(
    lambda field: st.builds(Word, st.just(field), st.sampled_from([ANN, BEN]), values[field], positions)
)


def joined(said: list[Word]) -> dict[W.Key, Word]:
    """What somebody knows who has heard these words in this order."""
    known: dict[W.Key, Word] = {}
    for word in said:
        if beats(word, known.get(word.key)):
            known[word.key] = word
    return known


@given(st.lists(words, max_size=12, unique_by=lambda word: (word.key, word.at)), st.randoms(use_true_random=False))
def test_the_order_does_not_matter(said: list[Word], chance: object) -> None:
    again = list(said)
    getattr(chance, "shuffle")(again)  # noqa: B009 - what Hypothesis hands out has no type of its own
    assert {key: word.value for key, word in joined(said).items()} == {
        key: word.value for key, word in joined(again + said[:3]).items()
    }


def test_the_later_one_counts_but_for_checks_and_read_marks() -> None:
    first, later = Word(W.MUTES, ANN, (5,), (1, 3)), Word(W.MUTES, ANN, (0,), (1, 4))
    assert beats(first, None)
    assert beats(later, first)
    assert not beats(first, later)
    changed, checked = Word(W.VERIFIED, ANN, (W.CHANGED, 7), (1, 3)), Word(W.VERIFIED, ANN, (W.CHECKED, 6), (1, 9))
    assert not beats(checked, changed)  # of the keys before they changed
    assert beats(Word(W.VERIFIED, ANN, (W.CHECKED, 7), (1, 9)), changed)
    far, near = Word(W.READS, ANN, (1, 9), (1, 3)), Word(W.READS, ANN, (1, 2), (1, 8))
    assert not beats(near, far)
    assert yields((W.CHECKED, 6), changed)
    assert not yields((W.CHECKED, 7), changed)
    assert yields((1, 2), far)
    assert not yields((0,), first)


def test_what_is_to_be_said() -> None:
    assert unsaid(W.CONTACTS, ("x",), None) == ("x",)
    assert unsaid(W.CONTACTS, ("x",), ("x",)) is None
    assert unsaid(W.CONTACTS, None, ("x",)) == (None,)
    assert unsaid(W.CONTACTS, None, (None,)) is None
    assert unsaid(W.BLOCKS, None, (True,)) == (False,)
    assert unsaid(W.BLOCKS, None, None) is None
    assert unsaid(W.MUTES, None, (5,)) is None  # no opinion


@given(st.lists(words, max_size=12, unique_by=lambda word: word.key))
def test_words_travel(said: list[Word]) -> None:
    heard = [
        word
        for body in bodies(said, again=True)
        if isinstance(carried := parse(compose(body)).body, Words)
        for word in words_of(carried, (1, 100))  # type: ignore[arg-type]
    ]
    assert sorted(heard, key=repr) == sorted(said, key=repr)


def test_many_words_go_in_several_messages_and_new_ones_get_their_place() -> None:
    said = [Word(W.MUTES, number.to_bytes(32, "big"), (1,)) for number in range(SYNC_ITEMS_MAX + 1)]
    first, second = bodies(said)
    assert (len(first.items), len(second.items)) == (SYNC_ITEMS_MAX, 1)
    assert [word.at for word in words_of(second, (1, 5))] == [(1, 5)]


def test_places_that_do_not_fit_say_nothing_and_none_lies_ahead() -> None:
    assert not list(words_of(Contacts(items=((ANN, "x"),), said=((1, 1), (1, 2))), (1, 9)))
    (word,) = words_of(Mutes(items=((ANN, 5),), said=((2, 50),)), (1, 9))
    assert word.at == (1, 9)


def test_a_word_comes_back_from_the_vault() -> None:
    word = Word(W.OWN, ANN, (b"t" * 16, (b"i" * 16,)), (1, 2))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=Word)
    assert msgspec.structs.replace(again, value=normal(again.value)) == word
    assert word.row != Word(W.TOKENS, ANN, (b"t" * 16,)).row
