"""OpenSpiel's games behind the seam."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from extensions.games.openspiel.engine import Engine, EngineFailed
from extensions.games.openspiel.rules import PARAMETERS, SpielRules, offered, spiel_games
from extensions.games.openspiel.wire import Described, Games, Lost, Position
from protocol import limits as L
from protocol.rules.base import CHANCE, AnyRules, IllegalAction, ParameterError

SECRET = b"s" * 32


def play(rules: AnyRules, seed: int, plies: int = 5000) -> tuple[Any, list[tuple[int, str]]]:
    """A random game: its last state, and what was done."""
    log: list[tuple[int, str]] = []
    chosen = random.Random(seed)
    state = rules.initial({}, rules.seats[0], SECRET)
    while rules.result(state) is None and len(log) < plies:
        turn = rules.turn(state)
        seat = turn[0] if turn == (CHANCE,) else chosen.choice(turn)
        action = rules.chance(state, SECRET) if seat == CHANCE else chosen.choice(rules.actions(state, seat))
        state = rules.apply(state, seat, action)
        log.append((seat, action))
    return state, log


def test_most_of_them_can_be_offered(games: Mapping[str, AnyRules]) -> None:
    assert len(games) > 100
    assert all(len(name) <= L.GAME_NAME_CHARS_MAX for name in games)
    assert "openspiel:tarok" not in games
    assert set(PARAMETERS) <= {name.partition(":")[2] for name in games}


@pytest.mark.parametrize(
    "name", ["connect_four", "kuhn_poker", "matrix_rps", "backgammon", "goofspiel", "hearts", "catch"]
)
def test_a_game_is_what_its_log_says(name: str, games: Mapping[str, AnyRules], engine: Engine) -> None:
    rules = games[f"openspiel:{name}"]
    state, log = play(rules, 1)
    engine.close()  # nothing but the log is left
    again = rules.initial({}, rules.seats[0], SECRET)
    for seat, action in log:
        assert action in rules.actions(again, seat)
        again = rules.apply(again, seat, action)
    assert again == state
    result = rules.result(again)
    assert result is not None
    assert result.reason.startswith("returns ")
    assert rules.turn(again) == ()
    assert rules.actions(again, 0) == ()
    for seat in (*range(rules.seats[0]), None):
        assert rules.observe(again, seat) == rules.observe(state, seat)
    assert not (rules.hidden and CHANCE in {seat for seat, _ in log})


def test_hidden_cards_come_from_the_secret_and_stand_in_no_log(games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:hearts"]
    one, same = rules.initial({}, 4, SECRET), rules.initial({}, 4, SECRET)
    other = rules.initial({}, 4, b"o" * 32)
    assert one == same
    assert CHANCE not in rules.turn(one)
    assert rules.observe(one, 0) != rules.observe(other, 0)
    assert rules.observe(one, 0) != rules.observe(one, 1)
    assert rules.observe(one, None) == rules.observe(other, None)
    assert "s" * 32 not in repr(one)


def test_everybody_chooses_before_anything_happens(games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:matrix_rps"]
    start = rules.initial({}, 2, b"")
    assert rules.turn(start) == (0, 1)
    half = rules.apply(start, 1, rules.actions(start, 1)[0])
    assert rules.turn(half) == (0,)
    assert rules.actions(half, 1) == ()
    with pytest.raises(IllegalAction, match="turn"):
        rules.apply(half, 1, rules.actions(start, 1)[0])
    over = rules.apply(half, 0, rules.actions(half, 0)[1])
    result = rules.result(over)
    assert result is not None
    assert sorted(result.points) == [0, 2]


@pytest.mark.parametrize("action", ["", "z9", "0", "a1a1", "é", "x" * 1000])
def test_what_is_no_action(action: str, games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:chess"]
    with pytest.raises(IllegalAction):
        rules.apply(rules.initial({}, 2, b""), 0, action)


@pytest.mark.parametrize("action", ["", "-1", "99", "x", "9" * 200])
def test_what_is_no_outcome_of_chance(action: str, games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:backgammon"]
    start = rules.initial({}, 2, b"")
    assert rules.turn(start) == (CHANCE,)
    with pytest.raises(IllegalAction):
        rules.apply(start, CHANCE, action)


def test_chance_only_when_it_is_its_turn(games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:chess"]
    start = rules.initial({}, 2, b"")
    assert rules.actions(start, CHANCE) == ()
    with pytest.raises(IllegalAction, match="chance"):
        rules.chance(start, SECRET)
    assert rules.claim(start, 0, "") is None
    assert rules.flag(start, 1).points == (2, 0)


def test_every_outcome_of_chance_comes_up(games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:pig"]
    state = rules.initial({}, 2, b"")
    state = rules.apply(state, 0, "roll")
    seen = {rules.chance(state, bytes([n]) * 32) for n in range(60)}
    assert seen == set(rules.actions(state, CHANCE))


def test_parameters_are_on_a_list(games: Mapping[str, AnyRules]) -> None:
    rules = games["openspiel:hex"]
    small = rules.initial({"board_size": 5}, 2, b"")
    assert len(rules.actions(small, 0)) == 25
    for bad in ({"board_size": 4000}, {"swap": 1}, {"board_size": "5,swap=true"}):
        with pytest.raises(ParameterError):
            rules.initial(bad, 2, b"")
    with pytest.raises(ParameterError, match="players"):
        rules.initial({}, 3, b"")
    for name, allowed in PARAMETERS.items():
        for parameter, values in allowed.items():
            for value in values:
                assert games[f"openspiel:{name}"].initial({parameter: value}, 2, b"")


@pytest.mark.parametrize(("described", "is_offered"), [
    (Described("a", 2, False, "NONE", True, True), True), (Described("a", 11, False, "NONE", True, True), False),
    (Described("a", 2, False, "SAMPLED", True, True), False), (Described("a", 2, False, "NONE", False, True), False),
    (Described("a", 2, False, "NONE", True, False), False),
])  # fmt: skip
def test_what_is_offered(described: Described, is_offered: bool) -> None:
    assert offered(described) is is_offered


class Scripted(Engine):
    """An engine that has nothing to say."""

    def ask(self, request: Any, seconds: float | None = None) -> Any:
        """Never the right thing."""
        return Games(()) if seconds else Lost()

    def start_of(self, game: str) -> Position:
        """A chance node."""
        return Position(b"k" * 16, False, True, False, ((),), ())

    def about(self, request: Any, history: Any) -> Any:
        """Nothing."""
        return Lost()


def test_an_engine_with_nothing_to_say() -> None:
    with pytest.raises(EngineFailed, match="which games"):
        spiel_games(Scripted())
    rules = SpielRules(Described("a", 1, False, "EXPLICIT", True, True), Scripted())
    state = rules.initial({}, 1, b"")
    with pytest.raises(EngineFailed, match="chance"):
        rules.chance(state, SECRET)
    with pytest.raises(EngineFailed, match="seen"):
        rules.observe(state, 0)


@pytest.mark.parametrize(("points", "expected"), [
    ((3.0,), (2,)), ((0.0,), (1,)), ((-1.0,), (0,)), ((1.0, 1.0), (1, 1)), ((1.0, 4.0, 4.0), (0, 1, 1)),
])  # fmt: skip
def test_points(points: tuple[float, ...], expected: tuple[int, ...]) -> None:
    rules = SpielRules(Described("a", len(points), False, "NONE", True, True), Scripted())
    state = rules.initial({}, len(points), b"")
    over = Position(b"k" * 16, True, False, False, ((),) * len(points), points)
    result = rules.result(type(state)(state.game, (), over, (None,) * len(points)))
    assert result is not None
    assert result.points == expected


def test_every_game_can_be_played(games: Mapping[str, AnyRules]) -> None:
    for rules in games.values():
        state, log = play(rules, 3, 25)
        assert log
        assert rules.observe(state, 0) is not None
