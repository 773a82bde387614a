"""A signed page, checked by its reader."""

from __future__ import annotations

import msgspec
import pytest

from protocol.identity import SigningKey
from protocol.scoring.page import Page, PageItem, check_page, open_page, sign_page
from protocol.scoring.score import Facts, Slider, base_terms, slate_terms
from protocol.scoring.signed import ScoringError
from protocol.scoring.weights import DEFAULT, PPB, Weights

RANKER = SigningKey(b"r" * 32)
SLIDER = Slider(600, 100)


def item(number: int, author: bytes, earlier: int, likeness: int) -> PageItem:
    facts = Facts((PPB // number,) * 7, 100, 30)
    terms = base_terms(facts, DEFAULT, SLIDER)
    terms += slate_terms(sum(terms), earlier, likeness, DEFAULT)
    return PageItem(b"post%d" % number, author, ("a",), "follows", facts, terms, sum(terms))


ITEMS = (item(2, b"ann", 0, 0), item(3, b"ann", 1, 1000), item(4, b"bob", 0, 1000))
PAGE = Page(b"ranking", 0, 5, DEFAULT.version, SLIDER, ITEMS)


def test_a_page_that_adds_up_passes() -> None:
    check_page(open_page(sign_page(PAGE, RANKER), RANKER.public), DEFAULT)


def test_a_later_page_is_checked_below_the_earlier() -> None:
    later = msgspec.structs.replace(PAGE, first=2, items=ITEMS[2:])
    check_page(later, DEFAULT, ITEMS[:2])
    with pytest.raises(ScoringError, match="stand above"):
        check_page(later, DEFAULT)


def test_another_signer_is_refused() -> None:
    with pytest.raises(ScoringError, match="not signed"):
        open_page(sign_page(PAGE, RANKER), SigningKey(b"x" * 32).public)


def test_a_changed_term_is_named() -> None:
    bad = msgspec.structs.replace(ITEMS[1], terms=(*ITEMS[1].terms[:7], 7, *ITEMS[1].terms[8:]))
    with pytest.raises(ScoringError, match="item 2: the term bridging"):
        check_page(msgspec.structs.replace(PAGE, items=(ITEMS[0], bad)), DEFAULT)


def test_a_changed_score_is_named() -> None:
    bad = msgspec.structs.replace(ITEMS[0], score=1)
    with pytest.raises(ScoringError, match="item 1: the terms add up to"):
        check_page(msgspec.structs.replace(PAGE, items=(bad,)), DEFAULT)


def test_a_third_post_of_one_author_among_ten_is_found() -> None:
    with pytest.raises(ScoringError, match="item 3: its author"):
        check_page(msgspec.structs.replace(PAGE, items=(*ITEMS[:2], item(5, b"ann", 2, 1000))), DEFAULT)


def test_other_weights_are_refused() -> None:
    with pytest.raises(ScoringError, match="made with weights 1"):
        check_page(PAGE, Weights(version=2))
