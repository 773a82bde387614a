"""All that may be asked of settlement by a message: plain payments, and what brings its own rules along. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from extensions.settlement import disputes, intents, packets, stakes
from extensions.settlement.intents import Asked, Intent, Refusal
from extensions.settlement.judge import Deed
from protocol.messages import Body

_READERS: Final[tuple[Callable[[Asked, Body], Deed | Refusal | None], ...]] = (packets.read, stakes.read, disputes.read)


def read(asked: Asked, body: Body) -> Intent | Deed | None:
    """The intent of a message; None for one that moves nothing."""
    found: Intent | Deed | None = intents.read(asked, body)
    for reader in _READERS:
        found = found or reader(asked, body)
    return found
