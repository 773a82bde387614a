"""Dead letters: what no attempt could deal with. It is kept until somebody replays it or says to skip it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from clients.bot.errors import BotError
from clients.bot.memory import DEAD, BotMemory, Dead, read_rows
from clients.vault import Batch, Vault


class DeadLetters:
    """The dead letters of a running bot."""

    def __init__(self, memory: BotMemory, again: Callable[[Dead], None]) -> None:
        """``again`` puts a letter into the lane of its conversation."""
        self._memory = memory
        self._again = again

    def list(self) -> list[Dead]:
        """All of them, oldest first."""
        return sorted(self._memory.dead.values(), key=lambda letter: letter.number)

    def replay(self, number: int) -> None:
        """Run the handler on it once more, soon; it is gone if that goes well. Raises ``LookupError``."""
        self._again(self._find(number))

    def skip(self, number: int) -> None:
        """Forget it. Raises ``LookupError``."""
        self._memory.put(DEAD, self._find(number).key, None)

    def _find(self, number: int) -> Dead:
        return find(self.list(), number)


def find(letters: list[Dead], number: int) -> Dead:
    """The letter of that number. Raises ``LookupError`` with a sentence."""
    for letter in letters:
        if letter.number == number:
            return letter
    raise LookupError(f"there is no dead letter {number}; there are: {[letter.number for letter in letters]}")


def read_letters(vault: Vault) -> list[Dead]:
    """The dead letters in the vault of a bot that is not running."""
    return sorted(read_rows(vault, DEAD, Dead).values(), key=lambda letter: letter.number)


def mark_letter(vault: Vault, number: int, *, skip: bool) -> Dead:
    """Forget a letter, or have it replayed at the next start. Durable on return. Raises ``BotError``."""
    try:
        letter = find(read_letters(vault), number)
    except LookupError as error:
        raise BotError(str(error.args[0])) from None
    batch = Batch()
    marked = msgspec.msgpack.encode(msgspec.structs.replace(letter, replay=True))
    batch.put(DEAD, letter.key, None if skip else marked)
    vault.commit([batch])
    return letter
