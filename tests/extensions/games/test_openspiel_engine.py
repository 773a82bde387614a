"""The two checks around OpenSpiel, on games that are safe to hold in this process."""

from __future__ import annotations

import pytest

pytest.importorskip("pyspiel", reason="OpenSpiel is not installed: the extra `games`")

from extensions.games import bounds
from extensions.games import openspiel_engine as E


def test_what_there_is() -> None:
    assert len(E.names()) > 100
    about = E.about("kuhn_poker")
    assert (about.seats, about.is_hidden, about.is_chance, about.is_playable) == (2, True, True, True)
    assert not E.about("2048").is_playable
    assert not E.about("mfg_garnet").is_playable
    with pytest.raises(E.Refused):
        E.load("nothing(of=this)")


def test_an_action_is_checked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    state = E.load("tic_tac_toe").new_initial_state()
    for step in (77, -1, 2**40, (0, 0), (0,)):
        with pytest.raises(E.Refused):
            E.play(state, step)
    E.play(state, 4)
    with pytest.raises(E.Refused):
        E.play(state, 4)
    with pytest.raises(E.Refused, match="illegal"):  # the engine's own check behind ours
        E._checked(state.apply_action_with_legality_check, 4)
    for step in (0, 1, 8, 2, 6, 3, 5, 7):
        E.play(state, step)
    with pytest.raises(E.Refused, match="nobody"):
        E.play(state, 0)


def test_moves_at_once() -> None:
    engine = E.Engine()
    first = engine.start("matrix_pd")
    assert first.turn == (0, 1)
    for step in (0, (0,), (0, 9)):
        with pytest.raises(E.Refused):
            engine.step("matrix_pd", (), step)
    over = engine.step("matrix_pd", (), (0, 1))
    assert (over.turn, len(over.returns)) == ((), 2)


def test_states_by_their_history(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = E.Engine()
    first = engine.start("kuhn_poker")
    assert (first.turn, len(first.chance), first.returns) == ((-1,), 3, ())
    state = engine.step("kuhn_poker", (0,), 1)
    assert (state.turn, state.legal[0], state.legal[1]) == ((0,), (0, 1), ())
    assert state.seen[0] != state.seen[1]
    assert state.public == "move 2, player 0"
    monkeypatch.setattr(bounds, "ENGINE_STATES", 0)
    assert E.Engine().step("kuhn_poker", (0,), 1) == state
    open_game = engine.start("tic_tac_toe")
    assert open_game.public == open_game.seen[0] == "...\n...\n..."


def test_observations() -> None:
    class Kind:
        information = provides_observation_string = provides_information_state_string = False

    class Game:
        def get_type(self) -> type[Kind]:
            return Kind

    assert E.observation(Game(), None, 0) == ""
    game = E.load("matrix_pd")
    assert isinstance(E.observation(game, game.new_initial_state(), 0), str)


def test_walks_and_fuzz() -> None:
    for name in ("tic_tac_toe", "kuhn_poker", "matrix_rps", "pig", "mfg_garnet", "goofspiel"):
        assert E.walk(name, 1, 60) > 0
        tried, accepted = E.fuzz(name, 1, 200)
        assert tried >= 200
        assert accepted > 0


def test_a_state_that_comes_back_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    game = E.load("tic_tac_toe")
    state = game.new_initial_state()
    E.play(state, 3)

    class Odd:
        def new_initial_state(self) -> object:
            return game.new_initial_state()

        def deserialize_state(self, text: str) -> object:
            raise RuntimeError("it cannot read its own format")

    assert str(E.restored(Odd(), state, [3])) == str(state)
    monkeypatch.setattr(E, "restored", lambda game, state, steps: E.load("connect_four").new_initial_state())
    with pytest.raises(E.Refused, match="another state"):
        E.walk("tic_tac_toe", 1, 10)


def test_fuzz_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(E, "play", lambda state, step: None)
    with pytest.raises(E.Refused, match="was accepted"):
        E.fuzz("tic_tac_toe", 1, 50)

    def never(state: object, step: object) -> None:
        raise E.Refused("no")

    monkeypatch.setattr(E, "play", never)
    with pytest.raises(E.Refused, match="was refused"):
        E.fuzz("tic_tac_toe", 1, 50)
