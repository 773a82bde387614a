"""Dead letters are kept, replayed and skipped, by a running bot and beside one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.bot.dead_letters import DeadLetters, mark_letter, read_letters
from clients.bot.errors import BotError
from clients.bot.memory import DEAD, Dead
from clients.vault import Secret, Vault
from tests.clients.bot.support import NOW_MS, TOPIC, open_alone


def letter(number: int) -> Dead:
    """A letter."""
    return Dead(number, number, TOPIC, b"i" * 16, "handler", 3, "ValueError: no", NOW_MS)


async def test_of_a_running_bot(tmp_path: Path) -> None:
    again: list[Dead] = []
    async with open_alone(tmp_path) as (_, memory):
        letters = DeadLetters(memory, again.append)
        for number in (2, 1):
            memory.put(DEAD, letter(number).key, letter(number))
        assert letters.list() == [letter(1), letter(2)]
        letters.replay(2)
        assert again == [letter(2)]
        letters.skip(1)
        assert letters.list() == [letter(2)]
        with pytest.raises(LookupError, match=r"there is no dead letter 1; there are: \[2\]"):
            letters.skip(1)
        with pytest.raises(LookupError):
            letters.replay(3)


async def test_of_a_bot_that_is_not_running(tmp_path: Path) -> None:
    async with open_alone(tmp_path) as (_, memory):
        for number in (3, 2, 1):
            memory.put(DEAD, letter(number).key, letter(number))
    vault = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    assert read_letters(vault) == [letter(1), letter(2), letter(3)]
    assert mark_letter(vault, 1, skip=True) == letter(1)
    mark_letter(vault, 2, skip=False)
    with pytest.raises(BotError, match="there is no dead letter 1"):
        mark_letter(vault, 1, skip=True)
    assert [(one.number, one.replay) for one in read_letters(vault)] == [(2, True), (3, False)]
    vault.close()
