"""A message as handlers and filters see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clients.conversations import Conversation
from clients.events import Received
from clients.records import Contact
from protocol.content import Content, Reference
from protocol.frames import Role
from protocol.ids import TopicKind
from protocol.messages import Body, Message, Unknown

BOT_MARK: Final = "chappe.bot"  # extension of a content that a bot said


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that somebody else said.

    ``body`` is its typed body, ``state`` the name of the dialog's state of its sender here (None: none), ``contact``
    what we know of the sender, ``me`` the bot's own account.
    """

    event: Received
    message: Message
    talk: Conversation
    me: bytes
    contact: Contact | None = None
    state: str | None = None

    @property
    def id(self) -> bytes:
        """The message id: an idempotency key for whatever is done about it."""
        return self.event.id

    @property
    def account(self) -> bytes:
        """Who said it."""
        return self.event.account

    @property
    def topic(self) -> bytes:
        """The conversation."""
        return self.event.topic

    @property
    def ts(self) -> int:
        """When the relay stored it, Unix ms."""
        return self.event.ts

    @property
    def content(self) -> Content:
        """The envelope: thread, reference, expiry, extensions."""
        return self.message.content

    @property
    def body(self) -> Body | Unknown:
        """The typed body; ``Unknown`` where this version has none for its type."""
        return self.message.body

    @property
    def re(self) -> bytes | None:
        """Id of the message that this one answers."""
        reference = self.content.re
        return None if reference is None else reference.id

    @property
    def reference(self) -> Reference:
        """What an answer to this message refers to."""
        return Reference(self.id)

    @property
    def text(self) -> str:
        """What a person would read of it: the text, a caption, or the fallback; empty if there is none."""
        for name in ("text", "caption", "question"):
            value = getattr(self.body, name, None)
            if isinstance(value, str):
                return value
        return self.message.fallback or self.content.fb or ""

    @property
    def args(self) -> str:
        """What follows the first word: the arguments of a command."""
        words = self.text.split(maxsplit=1)
        return words[1].strip() if len(words) > 1 else ""

    @property
    def mentions(self) -> tuple[bytes, ...]:
        """Accounts that the message names."""
        value = getattr(self.body, "mentions", ())
        return value if isinstance(value, tuple) else ()

    @property
    def by_bot(self) -> bool:
        """Whether a bot of this SDK said it: bots do not answer each other, or they would never stop."""
        return self.content.x is not None and BOT_MARK in self.content.x

    @property
    def is_pair(self) -> bool:
        """Whether it was said in a conversation of two."""
        return self.talk.record.kind == TopicKind.PAIR

    @property
    def role(self) -> int:
        """The sender's role in the conversation now; 0 where they are not in it any more."""
        return self.talk.members.get(self.account, 0)

    @property
    def is_admin(self) -> bool:
        """Whether the sender may change the group."""
        return self.role >= Role.ADMIN
