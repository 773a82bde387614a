"""What somebody types to report a message, understood; both faces of ``chappe chat`` use it."""

from __future__ import annotations

from typing import Final

from clients.client import Client
from clients.reports import CannotReport
from protocol.reports import Ground

GROUNDS: Final = ", ".join(ground.name.lower() for ground in Ground)
DONE: Final = (
    "reported to the operator of the relay (number {number}), who can read {count} and prove who said it; nobody else "
    "is told"
)


def ground_of(name: str) -> Ground:
    """A ground by its name. Raises ``CannotReport``."""
    try:
        return Ground[name.upper()]
    except KeyError:
        raise CannotReport(f"{name!r} is no reason; there are {GROUNDS}") from None


async def report_typed(client: Client, topic: bytes, words: list[str]) -> str:
    """``N [+K] REASON [TEXT…]``: report message N with the K messages of others before it; what to answer.

    Raises ``CannotReport``, ``IndexError`` where a word is missing, and what ``Client.report`` raises.
    """
    number, rest = words[0], words[1:]
    if not number.isdecimal():
        raise CannotReport("write the number that is shown before the message: /report 17 spam")
    count = 0
    if rest and rest[0].startswith("+") and rest[0][1:].isdecimal():
        count, rest = int(rest[0][1:]), rest[1:]
    offset, ground = int(number), ground_of(rest[0])
    attach = client.reporter.before(topic, offset, count)
    given = await client.report(topic, offset, ground, " ".join(rest[1:]), attach=attach)
    shown = f"this message and the {len(attach)} before it" if attach else "this message"
    return DONE.format(number=given, count=shown)
