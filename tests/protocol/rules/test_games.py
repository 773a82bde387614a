"""The list of games."""

from __future__ import annotations

import pytest

from protocol.rules.games import GAMES
from tests.protocol.rules.random_games import walk


@pytest.mark.parametrize("name", GAMES)
def test_every_game_can_be_played(name: str) -> None:
    assert GAMES[name].name == name
    walk(GAMES[name], 1, plies_max=60)
