"""``sync.*``: what devices of one account tell each other in their self topic: contacts, checks, mutes, read marks.

Every message carries *words*: a subject (an account, a topic) and what is so about it now. Of two words on the same
subject in messages of one type the later one in the log counts; ``verified`` and ``reads`` say how they differ. So all
devices end with the same, whatever order they spoke in. ``said`` is for repetitions: where in the log each word was
said first, so that an old word that is said again never beats a newer one.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from protocol import limits as L
from protocol.frames import Key, Position, UInt
from protocol.messages.registry import Body, register

Name = Annotated[str, Meta(max_length=L.SYNC_NAME_CHARS_MAX)]
Token = Annotated[bytes, Meta(min_length=L.CONTACT_TOKEN_BYTES, max_length=L.CONTACT_TOKEN_BYTES)]
Check = Annotated[int, Meta(ge=0, le=2)]
_Items = Meta(max_length=L.SYNC_ITEMS_MAX)


class Words(Body, frozen=True, kw_only=True):
    """Base of all that carry words. ``said``: as many positions as there are items, or none: it is said now."""

    said: Annotated[tuple[Position, ...], _Items] = ()


@register("sync.contacts")
class Contacts(Words, frozen=True, kw_only=True):
    """(account, local name; nil: no contact any more)."""

    items: Annotated[tuple[tuple[Key, Name | None], ...], _Items]


@register("sync.verified")
class Verified(Words, frozen=True, kw_only=True):
    """(account, 0 not checked / 1 safety number compared / 2 keys changed since, by which device list version).

    The word with the higher version counts, whatever the order: what was compared before keys changed is worth nothing
    after it.
    """

    items: Annotated[tuple[tuple[Key, Check, UInt], ...], _Items]


@register("sync.tokens")
class Tokens(Words, frozen=True, kw_only=True):
    """(account, the token by which it knows us as its contact)."""

    items: Annotated[tuple[tuple[Key, Token], ...], _Items]


@register("sync.blocks")
class Blocks(Words, frozen=True, kw_only=True):
    """(account, whether it is blocked)."""

    items: Annotated[tuple[tuple[Key, bool], ...], _Items]


@register("sync.mutes")
class Mutes(Words, frozen=True, kw_only=True):
    """(topic, muted until then, Unix ms; 0: not muted)."""

    items: Annotated[tuple[tuple[Key, UInt], ...], _Items]


@register("sync.reads")
class Reads(Words, frozen=True, kw_only=True):
    """(topic, generation, offset): shown to the person up to there. The furthest counts, whatever the order."""

    items: Annotated[tuple[tuple[Key, UInt, UInt], ...], _Items]


@register("sync.follows")
class Follows(Words, frozen=True, kw_only=True):
    """(account, whether its feed is followed)."""

    items: Annotated[tuple[tuple[Key, bool], ...], _Items]


@register("sync.hidden")
class Hidden(Words, frozen=True, kw_only=True):
    """(SHA-256 of a word, the word; nil: no more): posts with this word are not shown."""

    items: Annotated[tuple[tuple[Key, Name | None], ...], _Items]


@register("sync.lists")
class Lists(Words, frozen=True, kw_only=True):
    """(SHA-256 of an account and a name, the name of the list, the account on it; nil and nothing: not any more)."""

    items: Annotated[
        tuple[
            tuple[
                Key,
                Annotated[str, Meta(min_length=1, max_length=L.FEED_LIST_CHARS_MAX)] | None,
                Annotated[bytes, Meta(max_length=L.KEY_BYTES)],
            ],
            ...,
        ],
        _Items,
    ]


@register("sync.own")
class Own(Words, frozen=True, kw_only=True):
    """(our account, the token that we give to contacts, tokens of open invitations)."""

    items: Annotated[
        tuple[tuple[Key, Token, Annotated[tuple[Token, ...], Meta(max_length=L.CONTACT_TOKENS_MAX)]], ...],
        Meta(max_length=1),
    ]


AnyWords: TypeAlias = Contacts | Verified | Tokens | Blocks | Mutes | Reads | Follows | Hidden | Lists | Own


@register("sync.ask")
class Ask(Body, frozen=True):
    """I am new here, or have missed something: please repeat everything."""
