"""``rank.*``: a reader's conversation with a ranker: consent, signals, pages, and what one has a right to ask.

Nothing is learned of a reader before ``rank.consent``. Times of signals are the relay's, never the reader's. There are
no floats: a signal's value is in milliseconds (dwell) or permille.

``circle`` is the topic of a circle that has admitted the ranker as a member; empty: what is public. It is answered to
the circle's present members only, in their own conversation with the ranker; consent, signals, cursors and what is
known are each circle's own.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, UInt
from protocol.messages.feed import File
from protocol.messages.registry import Body, register

Keys = Annotated[tuple[Key, ...], Meta(max_length=L.RANK_HIDDEN_MAX)]
Ranking = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]
Permille = Annotated[int, Meta(ge=0, le=1000)]
Said = Annotated[str, Meta(max_length=L.RANK_TEXT_CHARS_MAX)]
RankWord = Annotated[str, Meta(min_length=1, max_length=L.SYNC_NAME_CHARS_MAX)]
CircleTopic = Annotated[bytes, Meta(max_length=L.KEY_BYTES)]


class RefusedCode(IntEnum):
    """Why a ranker did not do something."""

    OTHER = 0
    NO_CONSENT = 1  # the reader has not opted in, or not for this circle
    NO_CIRCLE = 2  # one of the two is no member of that circle: the answer is the same for whichever it is
    GONE = 3  # a ranking that is over, or of another circle or reader
    NOT_HERE = 4  # asked where others listen: ask in the conversation of two
    FULL = 5  # no room for another circle; said in that circle before the ranker leaves it


class SignalKind(IntEnum):
    """What a reader did with a post."""

    VIEW = 1
    DWELL = 2
    FINISH = 3
    OPEN = 4
    LIKE = 5
    REPLY = 6
    SHARE = 7
    HIDE = 8
    LESS = 9
    REPORT = 10


class SignalItem(msgspec.Struct, frozen=True, array_like=True):
    """One thing that a reader did: with the post of a key, ``context`` and ``position`` as the page had them."""

    post: Key
    kind: Annotated[int, Meta(ge=1, le=10)]  # of SignalKind
    value: Annotated[int, Meta(ge=0, le=L.RANK_DWELL_MS_MAX)] = 0  # dwell: ms; like: permille
    context: Ranking = b""  # ranking id of the page; empty: not from a page
    position: UInt = 0  # there, from 1; 0: not from a page


@register("rank.consent")
class Consent(Body, frozen=True):
    """From now on the ranker may learn of this reader, or (``undo``) not any more. ``follows``: whom it follows."""

    undo: bool = False
    follows: Annotated[tuple[Key, ...], Meta(max_length=1000)] = ()
    circle: CircleTopic = b""


@register("rank.signal")
class Signals(Body, frozen=True):
    """What a reader did, several things at once."""

    items: Annotated[tuple[SignalItem, ...], Meta(max_length=L.RANK_SIGNALS_MAX)]
    circle: CircleTopic = b""


@register("rank.request")
class Request(Body, frozen=True):
    """A page, please. ``ranking`` and ``place``: go on there; else a new ranking."""

    count: Annotated[int, Meta(ge=1, le=L.RANK_PAGE_ITEMS_MAX)]
    bridging: Permille
    fresh: Permille = 0
    ranking: Ranking = b""
    place: UInt = 0
    hidden: Keys = ()  # authors who are blocked or muted
    words: Annotated[tuple[RankWord, ...], Meta(max_length=L.RANK_HIDDEN_MAX)] = ()
    plain: bool = False  # no exploration
    briefing: bool = False  # the page of the day, at most seven posts
    circle: CircleTopic = b""


@register("rank.page")
class Page(Body, frozen=True):
    """A signed page (``protocol.scoring.page``), and where its posts and their notes lie in their authors' feeds.

    ``edits``: where the newest version of each post lies; 0, or none at all: it was not changed. Of a circle it says no
    places: members find its posts, by their keys, among what was said to them."""

    signed: Annotated[bytes, Meta(max_length=L.RANK_PAGE_BYTES_MAX)]
    offsets: Annotated[tuple[UInt, ...], Meta(max_length=L.RANK_PAGE_ITEMS_MAX)]
    notes: Annotated[tuple[tuple[Key, UInt] | None, ...], Meta(max_length=L.RANK_PAGE_ITEMS_MAX)] = ()
    edits: Annotated[tuple[UInt, ...], Meta(max_length=L.RANK_PAGE_ITEMS_MAX)] = ()


@register("rank.brief")
class Brief(Body, frozen=True):
    """A signed briefing, and where its posts, their notes and their newest versions lie."""

    signed: Annotated[bytes, Meta(max_length=L.RANK_PAGE_BYTES_MAX)]
    offsets: Annotated[tuple[UInt, ...], Meta(max_length=L.RANK_BRIEFING_ITEMS)]
    notes: Annotated[tuple[tuple[Key, UInt] | None, ...], Meta(max_length=L.RANK_BRIEFING_ITEMS)] = ()
    edits: Annotated[tuple[UInt, ...], Meta(max_length=L.RANK_BRIEFING_ITEMS)] = ()


@register("rank.whynot")
class WhyNot(Body, frozen=True):
    """Why is this post not on my pages?"""

    post: Key
    bridging: Permille
    fresh: Permille = 0
    hidden: Keys = ()
    words: Annotated[tuple[RankWord, ...], Meta(max_length=L.RANK_HIDDEN_MAX)] = ()
    circle: CircleTopic = b""


@register("rank.because")
class Because(Body, frozen=True):
    """An answer in words."""

    text: Said


@register("rank.forget")
class Forget(Body, frozen=True):
    """Forget all that was learned of me, and say so. Consent stays."""

    circle: CircleTopic = b""


@register("rank.export")
class Export(Body, frozen=True):
    """What is known of me?"""

    circle: CircleTopic = b""


@register("rank.known")
class Known(Body, frozen=True):
    """All of it, as JSON; ``cut``: there was more than fits."""

    data: Annotated[bytes, Meta(max_length=L.RANK_EXPORT_BYTES_MAX)]
    cut: bool = False


@register("rank.ship")
class Ship(Body, frozen=True):
    """Your model, please: I rank on my own device. It needs no consent, since nothing is learned of who asks."""


@register("rank.model")
class Model(Body, frozen=True):
    """Where the signed model lies (``protocol.scoring.local``); the relay keeps it for an hour at least."""

    file: File


@register("rank.refused")
class Refused(Body, frozen=True):
    """It was not done; the text says why and what to do, ``code`` (of ``RefusedCode``) which case it is."""

    text: Said
    code: Annotated[int, Meta(ge=0, le=255)] = 0
