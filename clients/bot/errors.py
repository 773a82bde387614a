"""What goes wrong before or around handlers; what handlers raise is logged, retried and set aside instead."""

from __future__ import annotations

from protocol.errors import ChappeError


class BotError(ChappeError):
    """The bot cannot be set up or started; the text says what to do."""
