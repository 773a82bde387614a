"""What a client tells its application: durable events in one numbered order, and passing notices.

Rule 1.  An event is handed out only after the vault transaction in which it happened. Its ``seq`` never changes, so an
         application that remembers the last ``seq`` it dealt with sees every event exactly once.
Rule 2.  A notice is about now (connection, typing, caught up): never stored, never numbered.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of durable events. ``topic`` is the conversation."""

    topic: bytes
    seq: int = 0


class Received(Event, frozen=True, kw_only=True):
    """A message, from anybody including oneself, in the order of the conversation."""

    offset: int
    id: bytes
    account: bytes
    device: bytes
    ts: int  # by the relay's clock, Unix ms
    content: bytes  # parse with protocol.messages.parse
    mine: bool = False
    doubt: str = ""  # not empty: why the sender deserves doubt (its device list has run out, …)
    muted: bool = False  # the person does not want to be told of it now


class Stored(Event, frozen=True, kw_only=True):
    """The relay has stored a message of ours."""

    id: bytes
    offset: int


class Delivered(Event, frozen=True, kw_only=True):
    """Everything up to ``offset`` is in ``account``'s vault."""

    account: bytes
    offset: int


class Failed(Event, frozen=True, kw_only=True):
    """A message or change of ours was refused for good; nothing of it happened."""

    id: bytes
    code: int
    text: str


class Joined(Event, frozen=True, kw_only=True):
    """We are in a conversation now (founded it, were added, or were re-admitted)."""

    by: bytes
    members: tuple[bytes, ...]
    again: bool = False


class Changed(Event, frozen=True, kw_only=True):
    """The roster changed."""

    by: bytes
    added: tuple[bytes, ...] = ()
    removed: tuple[bytes, ...] = ()


class Removed(Event, frozen=True, kw_only=True):
    """We are not in the conversation any more."""

    by: bytes


class Voided(Event, frozen=True, kw_only=True):
    """A commit that failed a check which every member makes: nothing changed for anyone. ``by`` sent it."""

    by: bytes
    reason: str


class Unreadable(Event, frozen=True, kw_only=True):
    """A message that could not be opened or understood here."""

    offset: int
    account: bytes
    reason: str


class Missing(Event, frozen=True, kw_only=True):
    """``count`` messages will not come (retention, or before we were let in)."""

    count: int
    reason: int


class Forked(Event, frozen=True, kw_only=True):
    """A member has seen another history than we have: the relay altered, dropped or reordered something."""

    account: bytes
    offset: int


class Locked(Event, frozen=True, kw_only=True):
    """We alone could not open a valid commit; re-admission was asked for."""

    fence: int


class Restarted(Event, frozen=True, kw_only=True):
    """An admin has started the encryption of a conversation anew, since its relay was restored from a backup."""

    by: bytes


class KeyChanged(Event, frozen=True, kw_only=True):
    """An account's devices changed, or a device that is not on its list spoke. ``topic`` is the account."""

    text: str


class Alarm(Event, frozen=True, kw_only=True):
    """A worker was caught at something that it must not do; ``topic`` is the conversation with it."""

    text: str


AnyEvent: TypeAlias = (
    Received | Stored | Delivered | Failed | Joined | Changed | Removed | Voided | Unreadable | Missing | Forked
    | Locked | Restarted | KeyChanged | Alarm
)  # fmt: skip
_decoder: Final = msgspec.msgpack.Decoder(AnyEvent)


def decode_event(value: bytes, seq: int) -> AnyEvent:
    """An event as the vault keeps it."""
    event: AnyEvent = _decoder.decode(value)
    return msgspec.structs.replace(event, seq=seq)


# -- notices -----------------------------------------------------------------------------------------------------------
class Notice(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of passing notices."""


class Connected(Notice, frozen=True, kw_only=True):
    """Logged in."""

    url: str


class Disconnected(Notice, frozen=True, kw_only=True):
    """The connection is gone; the next attempt comes after ``retry_ms`` (None: none will)."""

    reason: str
    retry_ms: int | None


class CaughtUp(Notice, frozen=True, kw_only=True):
    """Everything stored in the conversation up to ``offset`` is in the vault; its last event is number ``seq``."""

    topic: bytes
    offset: int
    seq: int


class Ephemeral(Notice, frozen=True, kw_only=True):
    """A typing notice or the like, from now."""

    topic: bytes
    account: bytes
    content: bytes


AnyNotice: TypeAlias = Connected | Disconnected | CaughtUp | Ephemeral
