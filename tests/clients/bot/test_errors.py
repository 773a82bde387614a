"""The one exception of the bot SDK."""

from __future__ import annotations

from clients.bot.errors import BotError
from protocol.errors import ChappeError


def test_its_text_is_a_sentence_for_people() -> None:
    error = BotError("the bot is not running")
    assert isinstance(error, ChappeError)
    assert str(error) == "the bot is not running"
