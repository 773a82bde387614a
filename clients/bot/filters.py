"""Which messages a handler is for: small conditions that combine with ``&``, ``|`` and ``~``.

::

    @bot.on(Text, command("/kick") & in_group & from_admin)
    @bot.on(Text, lambda message: len(message.text) > 500)

Any function from a message to a truth value is a filter too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from clients.bot.incoming import Incoming

Condition = Callable[[Any], object]


class Filter:
    """A condition on an ``Incoming`` message."""

    def __init__(self, condition: Callable[[Incoming], object], name: str) -> None:
        self._condition = condition
        self.name = name

    def __call__(self, message: Incoming) -> bool:
        return bool(self._condition(message))

    def __and__(self, other: Condition) -> Filter:
        return Filter(lambda message: self(message) and other(message), f"({self.name} & {name_of(other)})")

    def __or__(self, other: Condition) -> Filter:
        return Filter(lambda message: self(message) or other(message), f"({self.name} | {name_of(other)})")

    def __invert__(self) -> Filter:
        return Filter(lambda message: not self(message), f"~{self.name}")

    def __repr__(self) -> str:
        return self.name


def name_of(condition: Condition) -> str:
    """What to call a condition in an error text."""
    return condition.name if isinstance(condition, Filter) else getattr(condition, "__name__", repr(condition))


def text(*texts: str) -> Filter:
    """The message is one of these texts; case and surrounding space do not matter."""
    wanted = {one.strip().casefold() for one in texts}
    return Filter(lambda message: message.text.strip().casefold() in wanted, f"text{texts!r}")


def contains(part: str) -> Filter:
    """The text contains ``part``; case does not matter."""
    wanted = part.casefold()
    return Filter(lambda message: wanted in message.text.casefold(), f"contains({part!r})")


def matches(pattern: str) -> Filter:
    """A regular expression (syntax of ``re``) is found in the text; ``(?i)`` in front ignores case."""
    compiled = re.compile(pattern)
    return Filter(lambda message: compiled.search(message.text), f"matches({pattern!r})")


def command(*names: str) -> Filter:
    """The first word is one of these, such as ``/help``; case does not matter. ``args`` is what follows it."""
    wanted = {name.casefold() for name in names}

    def is_command(message: Incoming) -> bool:
        words = message.text.split(maxsplit=1)
        return bool(words) and words[0].casefold() in wanted

    return Filter(is_command, f"command{names!r}")


def in_state(*names: str) -> Filter:
    """The sender's dialog in this conversation is in one of these states."""
    return Filter(lambda message: message.state in names, f"in_state{names!r}")


def from_account(*accounts: bytes) -> Filter:
    """One of these accounts said it."""
    return Filter(lambda message: message.account in accounts, f"from_account({len(accounts)} accounts)")


in_pair: Final = Filter(lambda message: message.is_pair, "in_pair")
in_group: Final = Filter(lambda message: not message.is_pair, "in_group")
mentions_me: Final = Filter(lambda message: message.me in message.mentions, "mentions_me")
from_contact: Final = Filter(lambda message: message.contact is not None, "from_contact")
from_verified: Final = Filter(lambda message: message.contact is not None and message.contact.verified, "from_verified")
from_admin: Final = Filter(lambda message: message.is_admin, "from_admin")
