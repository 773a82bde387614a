"""Random games, restored at every ply, with wrong actions in between."""

from __future__ import annotations

from typing import Any

import pytest

pyspiel = pytest.importorskip("pyspiel", reason="open-spiel has no wheel for this machine")

from extensions.games.openspiel import exercise as module  # noqa: E402
from extensions.games.openspiel.exercise import NotEqual, exercise  # noqa: E402
from extensions.games.openspiel.positions import Illegal  # noqa: E402
from extensions.games.openspiel.wire import Exercise  # noqa: E402
from tests.support.openspiel_proof import every_game  # noqa: E402


@pytest.mark.parametrize("name", ["connect_four", "matrix_rps", "kuhn_poker", "goofspiel", "mfg_garnet", "pig"])
def test_games_of_every_kind(name: str) -> None:
    done = exercise(pyspiel.load_game(name), Exercise(name, games=3, seed=1, wrong=5, plies_max=100))
    assert done.plies == done.restored > 0
    assert done.wrong > 0
    again = exercise(pyspiel.load_game(name), Exercise(name, games=3, seed=1, wrong=5, plies_max=100))
    assert again == done  # the seed decides all of it


def test_a_bound_of_plies() -> None:
    done = exercise(pyspiel.load_game("chess"), Exercise("chess", games=2, seed=1, wrong=0, plies_max=7))
    assert (done.plies, done.ended, done.wrong) == (14, 0, 0)


def test_a_wrong_action_that_is_taken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Any] = []
    monkeypatch.setattr(module, "act", lambda state, step: taken.append(step))
    with pytest.raises(NotEqual, match="was taken"):
        exercise(pyspiel.load_game("go"), Exercise("go", games=1, seed=1, wrong=5, plies_max=5))


def test_a_refusal_that_changes_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses_too_late(state: Any, step: Any) -> None:
        state.apply_action(state.legal_actions()[0])
        raise Illegal("no")

    monkeypatch.setattr(module, "act", refuses_too_late)
    with pytest.raises(NotEqual, match="changed the state"):
        exercise(pyspiel.load_game("go"), Exercise("go", games=1, seed=1, wrong=3, plies_max=5))


def test_a_copy_that_looks_different_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(range(1000))
    monkeypatch.setattr(module, "seen", lambda kind, state, seat: next(answers))
    with pytest.raises(NotEqual, match="sees something else"):
        exercise(pyspiel.load_game("go"), Exercise("go", games=1, seed=1, wrong=0, plies_max=5))


@pytest.mark.long
async def test_a_hundred_games_of_every_kind() -> None:
    done = await every_game(seed=1, games=100)
    assert done["restored equal"] == done["plies"] > 0
