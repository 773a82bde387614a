"""What devices of one account agree on: words, and which of two on the same thing counts. Pure.

A key is a field (the name of a ``sync.*`` type) and a subject (an account, a topic); a value is what the type says
about the subject. Words are joined like this, whatever order they come in, so everybody ends with the same:

- ``verified``: the higher device list version counts; with the same version the later place in the log.
- ``reads``: the furthest position counts.
- all others: the later place in the log counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from protocol.frames import Position
from protocol.limits import SYNC_ITEMS_MAX
from protocol.messages.sync import (
    AnyWords,
    Blocks,
    Contacts,
    Follows,
    Hidden,
    Lists,
    Mutes,
    Own,
    Reads,
    Tokens,
    Verified,
)

Key: TypeAlias = tuple[str, bytes]  # (field, subject)
Value: TypeAlias = tuple[Any, ...]  # what the type of the field says beside the subject
CONTACTS, VERIFIED, TOKENS, BLOCKS, MUTES, READS, OWN, FOLLOWS, HIDDEN, LISTS = (
    body.TYPE for body in (Contacts, Verified, Tokens, Blocks, Mutes, Reads, Own, Follows, Hidden, Lists)
)
_BODIES: Final[tuple[type[AnyWords], ...]] = (
    Own, Contacts, Verified, Tokens, Blocks, Mutes, Reads, Follows, Hidden, Lists
)  # fmt: skip
_GONE: Final[dict[str, Value]] = {
    CONTACTS: (None,), BLOCKS: (False,), FOLLOWS: (False,), HIDDEN: (None,), LISTS: (None, b""),
}  # fmt: skip
NOT_CHECKED, CHECKED, CHANGED = 0, 1, 2  # states of ``verified``


class Word(msgspec.Struct, frozen=True):
    """The newest word on a key, as the vault keeps it. ``at``: where in the self topic it was said first."""

    field: str
    subject: bytes
    value: tuple[Any, ...]
    at: Position = (0, 0)

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.field, self.subject

    @property
    def row(self) -> bytes:
        """The name of its row in the vault."""
        return self.field.encode() + b"\0" + self.subject


def normal(value: Value) -> Value:
    """A value as it comes back from the wire or the vault: lists inside are tuples."""
    return tuple(tuple(part) if isinstance(part, list) else part for part in value)


def beats(new: Word, known: Word | None) -> bool:
    """Whether ``new`` counts rather than ``known``."""
    if known is None:
        return True
    if new.field == READS:
        return new.value > known.value
    if new.field == VERIFIED:
        return (new.value[1], new.at) > (known.value[1], known.at)
    return new.at > known.at


def yields(own: Value, new: Word) -> bool:
    """Whether a value of our own, which is not in the log yet, has to give way to a word that is: ours comes later."""
    if new.field == READS:
        return bool(new.value > own)
    return new.field == VERIFIED and bool(new.value[1] > own[1])


def words_of(body: AnyWords, at: Position) -> Iterator[Word]:
    """The words in a message that stands at ``at`` in the log; none if it says more or fewer places than words."""
    if body.said and len(body.said) != len(body.items):
        return
    items: tuple[tuple[Any, ...], ...] = body.items
    for place, (subject, *value) in enumerate(items):
        said = min(body.said[place], at) if body.said else at  # nothing was said later than here
        yield Word(body.TYPE, subject, normal(tuple(value)), said)


def bodies(words: Iterable[Word], *, again: bool = False) -> Iterator[AnyWords]:
    """Messages that carry these words, as many as are needed. ``again``: with the places where they were said."""
    sorted_words: dict[str, list[Word]] = {}
    for word in words:
        sorted_words.setdefault(word.field, []).append(word)
    for body in _BODIES:
        found = sorted_words.get(body.TYPE, [])
        for start in range(0, len(found), SYNC_ITEMS_MAX):
            part = found[start : start + SYNC_ITEMS_MAX]
            items: tuple[Any, ...] = tuple((word.subject, *word.value) for word in part)
            yield body(items=items, said=tuple(word.at for word in part) if again else ())


def unsaid(field: str, here: Value | None, known: Value | None) -> Value | None:
    """What is to be said about a key where ``here`` is so (None: no opinion) and ``known`` was said; None: nothing.

    Of contacts, blocks, follows, hidden words and places on lists it means something that they are gone.
    """
    if here is None:
        gone = _GONE.get(field)
        return gone if known is not None and known != gone else None
    return here if here != known else None


__all__ = [
    "BLOCKS", "CHANGED", "CHECKED", "CONTACTS", "FOLLOWS", "HIDDEN", "LISTS", "MUTES", "NOT_CHECKED", "OWN",
    "READS", "TOKENS", "VERIFIED", "Key",
    "Value", "Word", "beats", "bodies", "normal", "unsaid", "words_of", "yields",
]  # fmt: skip
