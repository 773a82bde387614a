"""OpenSpiel's games behind the seam: values, chance from the seed, hidden views, and an engine that fails."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("pyspiel", reason="OpenSpiel is not installed: the extra `games`")

from extensions.games import openspiel as O
from extensions.games.openspiel_sandbox import EngineFailed, Sandbox
from extensions.games.referee import Referee
from extensions.games.table import Accept, Closed, Decision, Logged, Phase, Said, Terms
from protocol.judging import verify
from protocol.plies import Kind
from protocol.rules.base import CHANCE, AnyRules, IllegalAction, ParameterError, Result
from protocol.transcript import Statement, Transcript, sign
from tests.extensions.games.tables import player
from tests.protocol.playing import KEYS, REFEREE, START_MS
from tests.support.games_spiel import run_walks


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    made.ask(list[str], "names", timeout_s=60)  # its start takes a while on a busy machine
    yield made
    made.close()


@pytest.fixture(scope="module")
def found(sandbox: Sandbox) -> dict[str, AnyRules]:
    return O.games(sandbox)


def test_what_people_can_play(found: dict[str, AnyRules]) -> None:
    assert O.is_there()
    assert O.version()
    assert len(found) > 75
    assert {"openspiel:hex", "openspiel:kuhn_poker"} <= set(found)
    assert not {"openspiel:2048", "openspiel:crossword", "openspiel:mfg_garnet"} & set(found)
    kuhn, hex_ = found["openspiel:kuhn_poker"], found["openspiel:hex"]
    assert (kuhn.hidden, kuhn.undoable, kuhn.seats) == (True, False, (2, 10))
    assert (hex_.hidden, hex_.undoable, hex_.seats) == (False, True, (2, 2))


def test_parameters_by_the_list(found: dict[str, AnyRules]) -> None:
    hex_ = found["openspiel:hex"]
    state = hex_.initial({"board_size": 3}, 2, b"")
    assert state.text == "hex(board_size=3)"
    assert len(hex_.actions(state, 0)) == 9
    assert hex_.initial({}, 2, b"").text == "hex"
    for params in ({"board_size": 99}, {"board_size": "3,x=1"}, {"shell": "rm"}):
        with pytest.raises(ParameterError):
            hex_.initial(params, 2, b"")
    poker = found["openspiel:kuhn_poker"]
    assert poker.initial({}, 3, b"").text == "kuhn_poker(players=3)"
    with pytest.raises(IllegalAction):
        poker.initial({"players": 4}, 3, b"")


def test_a_game_is_played(found: dict[str, AnyRules]) -> None:
    rules = found["openspiel:tic_tac_toe"]
    state = rules.initial({}, 2, b"")
    assert rules.labels(state, 0)["4"] == "x(1,1)"  # type: ignore[attr-defined]
    for seat, action in ((1, "0"), (0, "9"), (0, "-1"), (0, "x"), (0, "9" * 40)):
        with pytest.raises(IllegalAction):
            rules.apply(state, seat, action)
    with pytest.raises(IllegalAction):
        rules.chance(state, b"s" * 32)
    for seat, action in ((0, "0"), (1, "3"), (0, "1"), (1, "4"), (0, "2")):
        assert rules.result(state) is None
        state = rules.apply(state, seat, action)
    assert rules.result(state) == Result((2, 0), "score 1 : -1")
    assert (rules.turn(state), rules.actions(state, 0)) == ((), ())
    assert rules.observe(state, None).startswith(b"xxx")
    assert rules.flag(state, 0) == Result((0, 2), "time")
    assert rules.claim(state, 0, "") is None


def test_chance_comes_from_the_seed(found: dict[str, AnyRules]) -> None:
    rules = found["openspiel:kuhn_poker"]
    state = rules.initial({}, 2, b"")
    assert rules.turn(state) == (CHANCE,)
    drawn = {rules.chance(state, bytes([number]) * 32) for number in range(40)}
    assert drawn == {"0", "1", "2"}
    with pytest.raises(IllegalAction):
        rules.apply(state, CHANCE, "7")
    for _ in range(2):
        state = rules.apply(state, CHANCE, rules.chance(state, b"s" * 32))
    assert rules.observe(state, 0) != rules.observe(state, 1)
    assert rules.actions(state, CHANCE) == ()


def test_moves_at_once(found: dict[str, AnyRules]) -> None:
    rules = found["openspiel:matrix_rps"]
    state = rules.initial({}, 2, b"")
    half = rules.apply(state, 1, "0")
    assert (rules.turn(state), rules.turn(half)) == ((0, 1), (0,))
    over = rules.apply(half, 0, "0")
    assert rules.result(over) == Result((1, 1), "equal")


def test_several_who_share_the_first_place(found: dict[str, AnyRules]) -> None:
    rules = found["openspiel:kuhn_poker"]
    state = rules.initial({}, 3, b"")
    facts = O.Facts((), ((), (), ()), ((), (), ()), (), ("", "", ""), "", (1.0, 1.0, -2.0))
    assert rules.result(replace(state, facts=facts)) == Result((1, 1, 0), "score 1 : 1 : -2")


def test_the_referee_judges_with_it_and_outlives_it(found: dict[str, AnyRules], sandbox: Sandbox) -> None:
    judge = Referee(REFEREE, found, (("open_spiel", "2"),))
    opened = judge.offer(Terms("openspiel:kuhn_poker"), player(0), START_MS, bytes(range(64)))
    assert isinstance(opened, Decision)
    decision = judge.decide(opened.table, Accept(player(1)), START_MS + 1)
    table, entries = decision.table, [e.entry for e in decision.effects if isinstance(e, Logged)]
    chance = random.Random(1)
    while table.phase is Phase.PLAYING:
        log = table.log
        assert log is not None
        rules = found["openspiel:kuhn_poker"]
        (seat,) = rules.turn(log.match.state)
        action = chance.choice(rules.actions(log.match.state, seat))
        key = next(key for key in KEYS if key.public == table.players[seat].devices[0])
        said = sign(Statement(log.match.match, log.match.ply, log.link, Kind.MOVE, seat, action), key)
        sandbox.close()  # it is started again, and plays the history anew
        decision = judge.decide(table, Said(table.players[seat].account, said), log.match.at_ms + 1)
        table = decision.table
        entries += [e.entry for e in decision.effects if isinstance(e, Logged)]
    assert table.genesis is not None
    assert verify(Transcript("chappe-game", table.genesis, tuple(entries)), found).final


def test_a_match_that_cannot_begin(found: dict[str, AnyRules], monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Referee(REFEREE, found)
    opened = judge.offer(Terms("openspiel:hex"), player(0), START_MS, bytes(range(64)))
    assert isinstance(opened, Decision)
    monkeypatch.setattr(found["openspiel:hex"], "_sandbox", Sandbox("no_such_module_anywhere"))
    decision = judge.decide(opened.table, Accept(player(1)), START_MS + 1)
    (closed,) = [effect for effect in decision.effects if isinstance(effect, Closed)]
    assert (decision.table.phase, closed.reason.startswith("it cannot begin")) == (Phase.CLOSED, True)


def test_an_engine_that_does_not_start() -> None:
    broken = Sandbox("no_such_module_anywhere")
    with pytest.raises(EngineFailed):
        O.games(broken)


@pytest.mark.long
def test_a_hundred_random_games_of_each() -> None:
    assert run_walks(1, 100)["each"] == 100
