"""A page of ranked posts as the ranker signs it, and how a reader checks every number on it.

The signature is over the received bytes. A page says which weights it was computed with, where the reader's slider
stood, and for each post what was believed and what follows: ``check_page`` does the sums again.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Int, UInt
from protocol.identity import SigningKey
from protocol.scoring.score import TERMS, Facts, Slider, base_terms, similarity, slate_terms
from protocol.scoring.signed import ScoringError, seal, unseal
from protocol.scoring.slate import WINDOW
from protocol.scoring.weights import Weights

_DOMAIN: Final = b"chappe/v1/rank-page\x00"
_BRIEFING: Final = b"chappe/v1/rank-briefing\x00"
_Name = Annotated[str, Meta(max_length=L.RANK_TAG_CHARS_MAX)]
_Source = Annotated[str, Meta(max_length=L.RANK_SOURCE_CHARS_MAX)]
_Id = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]


class PageItem(msgspec.Struct, frozen=True, array_like=True):
    """One post on a page, with the whole arithmetic of its place."""

    post: _Id
    author: _Id
    tags: Annotated[tuple[_Name, ...], Meta(max_length=L.RANK_TAGS_MAX)]
    source: _Name  # why it was a candidate: follows, alike, topics, popular, exploration
    facts: Facts
    terms: Annotated[tuple[Int, ...], Meta(min_length=len(TERMS), max_length=len(TERMS))]
    score: Int
    explored: UInt = 0  # millionths: how probable it was that exploration put this post here; 0: it did not
    note: _Id = b""  # a context note that people of both sides find helpful


class Page(msgspec.Struct, frozen=True, array_like=True):
    """Some places of one ranking."""

    ranking: _Id
    first: UInt  # place of the first item in the ranking
    made_ms: UInt
    weights: UInt  # version
    slider: Slider
    items: Annotated[tuple[PageItem, ...], Meta(max_length=L.RANK_PAGE_ITEMS_MAX)]
    next: UInt | None = None  # place of the next page; None: this was the last
    reader: _Id = b""  # whom it is for: shown to somebody else it proves nothing
    chronological: bool = False  # newest first, as the reader asked: scores are told, and nothing is taken off


class Agreement(msgspec.Struct, frozen=True, array_like=True):
    """Who found something helpful: raters of the one side and of the other, in no order that means anything."""

    helpful_one: UInt
    raters_one: UInt
    helpful_other: UInt
    raters_other: UInt


class BriefItem(msgspec.Struct, frozen=True, array_like=True):
    """A post of the briefing with what others add to it."""

    item: PageItem
    agreement: Agreement  # on the post itself
    note_agreement: Agreement | None = None
    sources: Annotated[tuple[_Source, ...], Meta(max_length=L.RANK_SOURCES_MAX)] = ()


class Briefing(msgspec.Struct, frozen=True, array_like=True):
    """The page of a day."""

    made_ms: UInt
    weights: UInt
    slider: Slider
    items: Annotated[tuple[BriefItem, ...], Meta(max_length=L.RANK_BRIEFING_ITEMS)]
    reader: _Id = b""


def sign_page(page: Page, key: SigningKey) -> bytes:
    """The page as a signed document."""
    return seal(page, _DOMAIN, key)


def open_page(data: bytes, signer: bytes) -> Page:
    """The page of a document that ``signer`` signed. Raises ``ScoringError`` or ``RemoteProtocolError``."""
    return unseal(data, _DOMAIN, signer, Page, "this page is")


def sign_briefing(briefing: Briefing, key: SigningKey) -> bytes:
    """The briefing as a signed document."""
    return seal(briefing, _BRIEFING, key)


def open_briefing(data: bytes, signer: bytes) -> Briefing:
    """The briefing that ``signer`` signed. Raises ``ScoringError`` or ``RemoteProtocolError``."""
    return unseal(data, _BRIEFING, signer, Briefing, "this briefing is")


def check_briefing(briefing: Briefing, weights: Weights) -> None:
    """Do all sums of a briefing again: it is a page of its own. Raises ``ScoringError``."""
    items = tuple(one.item for one in briefing.items)
    check_page(Page(b"", 0, briefing.made_ms, briefing.weights, briefing.slider, items), weights)


def check_page(page: Page, weights: Weights, earlier: tuple[PageItem, ...] = ()) -> None:
    """Do all sums of a page again. ``earlier``: the items of the same ranking above this page.

    Raises ``ScoringError`` that names the first item and what does not add up.
    """
    if page.weights != weights.version:
        raise ScoringError(f"the page was made with weights {page.weights}, these are version {weights.version}")
    if page.first != len(earlier):
        raise ScoringError(f"{len(earlier)} items stand above this page, it says {page.first}")
    above = list(earlier)
    for item in page.items:
        _check(item, page.slider, weights, [] if page.chronological else above, f"item {len(above) + 1}")
        above.append(item)


def _check(item: PageItem, slider: Slider, weights: Weights, above: list[PageItem], where: str) -> None:
    terms = base_terms(item.facts, weights, slider)
    tags = frozenset(item.tags)
    likeness = max((similarity(tags, frozenset(other.tags)) for other in above), default=0)
    of_author = sum(other.author == item.author for other in above)
    terms += slate_terms(sum(terms), of_author, likeness, weights)
    for name, told, computed in zip(TERMS, item.terms, terms, strict=True):
        if told != computed:
            raise ScoringError(f"{where}: the term {name} is {computed}, the page says {told}")
    if item.score != sum(terms):
        raise ScoringError(f"{where}: the terms add up to {sum(terms)}, the page says {item.score}")
    if sum(other.author == item.author for other in above[-(WINDOW - 1) :]) >= weights.authors_in_ten:
        raise ScoringError(f"{where}: its author stands among these ten more than {weights.authors_in_ten} times")
