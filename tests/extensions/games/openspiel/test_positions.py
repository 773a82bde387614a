"""The library behind its checks."""

from __future__ import annotations

import pytest

pyspiel = pytest.importorskip("pyspiel", reason="open-spiel has no wheel for this machine")

from extensions.games.openspiel import positions as module  # noqa: E402
from extensions.games.openspiel.positions import Illegal, Positions, act, describe, legal, seen  # noqa: E402
from extensions.games.openspiel.wire import first_key  # noqa: E402


def test_what_there_is() -> None:
    games = {game.name: game for game in describe()}
    assert len(games) > 100
    assert (games["chess"].hidden, games["chess"].chance) == (False, "NONE")
    assert games["leduc_poker"].hidden
    assert not games["matrix_rps"].hidden  # the other's choice of the same moment is committed to
    assert games["backgammon"].chance == "EXPLICIT"
    assert games["tarok"].chance == "SAMPLED"
    assert not games["mfg_garnet"].plain
    assert not games["crossword"].plain  # its actions are no numbers


@pytest.mark.parametrize(("game", "step"), [
    ("go", 10_000), ("go", -1), ("connect_four", 7), ("hex", 121), ("chess", 0), ("backgammon", 99),
    ("tic_tac_toe", (1, 2)), ("matrix_rps", 1), ("matrix_rps", (0, 5)), ("matrix_rps", (0,)), ("matrix_rps", (0, 0, 0)),
])  # fmt: skip
def test_what_would_end_the_process_is_refused(game: str, step: int | tuple[int, ...]) -> None:
    state = pyspiel.load_game(game).new_initial_state()
    before = state.history_str()
    with pytest.raises(Illegal):
        act(state, step)
    assert state.history_str() == before


def test_nobody_acts_after_the_end_or_for_another() -> None:
    state = pyspiel.load_game("tic_tac_toe").new_initial_state()
    assert legal(state, 1) == []
    for step in (0, 3, 1, 4, 2):
        act(state, step)
    assert legal(state, 0) == []
    with pytest.raises(Illegal, match="over"):
        act(state, 8)


def test_positions_go_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POSITIONS_MAX", 2)
    monkeypatch.setattr(module, "GAMES_MAX", 1)
    kept = Positions()
    start = kept.play("tic_tac_toe", ())
    assert start.key == first_key("tic_tac_toe")
    one = kept.step(start.key, 4)
    assert one is not None
    assert one == kept.play("tic_tac_toe", (4,))
    assert [action for action, _ in one.actions[1]] == [0, 1, 2, 3, 5, 6, 7, 8]
    two = kept.step(one.key, 0)
    assert two is not None
    assert kept.step(start.key, 4) is None  # gone
    assert kept.observe("tic_tac_toe", start.key, 0) is None
    assert kept.chances(start.key) is None
    again = kept.play("tic_tac_toe", (4, 0))
    assert again == two
    assert kept.game("hex") is kept.game("hex")
    with pytest.raises(Illegal):
        kept.play("tic_tac_toe", (4, 4))


def test_what_is_seen() -> None:
    kept = Positions()
    poker = kept.play("kuhn_poker", (0, 1))
    own = kept.observe("kuhn_poker", poker.key, 0)
    assert own != kept.observe("kuhn_poker", poker.key, 1)
    assert kept.observe("kuhn_poker", poker.key, None) == "ply 2, turn of 0"
    over = kept.play("kuhn_poker", (0, 1, 0, 0))
    assert over.over
    assert kept.observe("kuhn_poker", over.key, None) == "ply 4, over"
    board = kept.play("tic_tac_toe", (4,))
    assert "x" in (kept.observe("tic_tac_toe", board.key, None) or "")
    bidding = pyspiel.load_game("bridge_uncontested_bidding")  # says something else instead of an observation
    state = bidding.new_initial_state()
    assert seen(bidding.get_type(), state, 0) == state.information_state_string(0)


def test_chance_says_what_it_can_do() -> None:
    kept = Positions()
    start = kept.play("kuhn_poker", ())
    assert start.chance
    found = kept.chances(start.key)
    assert found is not None
    assert [action for action, _ in found.outcomes] == [0, 1, 2]
    assert sum(share for _, share in found.outcomes) == pytest.approx(1)
    board = kept.play("tic_tac_toe", ())
    none = kept.chances(board.key)
    assert none is not None
    assert none.outcomes == ()
