"""Moves as people write them, and matches in other programs' formats."""

from __future__ import annotations

import pytest

from clients.games.following import Following
from clients.games.notation import _go_result, action_of, actions_of, moves_of_pgn, moves_of_sgf, pgn, sgf, shown, uci
from extensions.games import table as T
from protocol.plies import Kind
from protocol.rules.base import Result, RulesError
from protocol.rules.chess.pgn import parse_pgn
from protocol.rules.clocks import parse_spec
from protocol.rules.go.sgf import parse_sgf
from tests.clients.games.test_following import hears, listener
from tests.extensions.games.tables import Evening, evening


def played(one: Evening, following: Following, *actions: str) -> None:
    for action in actions:
        one.moves(action)
        hears(following, one)


def test_chess() -> None:
    one = evening("chess", clock=parse_spec("300+3", 500), rated=True)
    mine = listener(one, 0)
    position = mine.position(0)
    assert [action_of(position, text) for text in ("e4", "e2e4", "Nf3", "what")] == ["e2e4", "e2e4", "g1f3", "what"]
    assert shown(position, "g1f3") == "Nf3"
    played(one, mine, "e2e4", "e7e5", "g1f3")
    for seat in (0, 1):
        one.say(seat, Kind.TAKEBACK)
        hears(mine, one)
    played(one, mine, "d1h5", "b8c6", "f1c4", "g8f6", "h5f7")
    assert uci(mine) == "position startpos moves e2e4 e7e5 d1h5 b8c6 f1c4 g8f6 h5f7"
    text = pgn(mine, ["Alice", "Bob"])
    game = parse_pgn(text)
    tags = dict(game.tags)
    assert (game.result, tags["White"], tags["Termination"]) == ("1-0", "Alice", "checkmate")
    assert (tags["TimeControl"], tags["Event"], len(tags["ChappeMatch"])) == ("300+3", "rated match", 64)
    assert "Qxf7# {[%clk" in text.replace("\n", " ")
    assert moves_of_pgn(text) == ["e2e4", "e7e5", "d1h5", "b8c6", "f1c4", "g8f6", "h5f7"]
    assert actions_of(mine)[0] == ("e2e4", 300_000)
    with pytest.raises(RulesError, match="usual position"):
        moves_of_pgn('[FEN "8/8/8/4k3/8/4K3/8/8 w - - 0 1"]\n\n*')


def test_unfinished_and_without_a_clock() -> None:
    one = evening("chess")
    mine = listener(one, 0)
    text = pgn(mine, ["Alice", "Bob"])
    assert '[TimeControl "-"]' in text
    assert text.rstrip().endswith("*")
    slow = evening("chess", clock=parse_spec("1d"))
    assert '[TimeControl "?"]' in pgn(listener(slow, 0), ["Alice", "Bob"])


def test_other_games() -> None:
    one = evening("backgammon")
    (started,) = one.got(T.Started)
    mine = Following(started.genesis, 0, 0, started.observations[0])
    hears(mine, one)
    assert [action for action, _ in actions_of(mine)] == [mine.acts[0].action]
    with pytest.raises(RulesError, match="for chess"):
        uci(mine)
    cards = listener(evening("eights"), 0)
    position = cards.position(0)
    wild = next((action for action in position.legal), "draw")
    assert action_of(position, wild.upper()) == wild
    assert action_of(position, "10♠ nothing") == "10♠ nothing"
    assert shown(position, wild) == wild
    with pytest.raises(RulesError, match="cannot be replayed"):
        actions_of(cards)
    rows = listener(evening("connectfour"), 0).position(0)
    assert action_of(rows, " 3 ") == "3"
    assert action_of(rows, "X") == "X"


def test_go() -> None:
    one = evening("go", params=(("size", 9), ("handicap", 2)), clock=parse_spec("300+0", 500))
    mine = listener(one, 0)
    played(one, mine, "e5", "pass", "pass")
    record = parse_sgf(sgf(mine, ["Alice", "Bob"]))
    assert record.moves == ((1, "e5"), (0, "pass"), (1, "pass"))
    assert (record.size, record.komi, len(record.stones), dict(record.tags)["RE"]) == (9, "7.5", 2, "W+6.5")
    assert moves_of_sgf(sgf(mine, ["Alice", "Bob"])) == ["e5", "pass", "pass"]
    with pytest.raises(RulesError, match="for go"):
        sgf(listener(evening("chess"), 0), ["Alice", "Bob"])
    other = evening("go", params=(("size", 9), ("komi", "0")))
    unfinished = listener(other, 0)
    assert "RE" not in dict(parse_sgf(sgf(unfinished, ["Alice", "Bob"])).tags)
    other.say(0, Kind.RESIGN)
    hears(unfinished, other)
    assert "RE[W+R]" in sgf(unfinished, ["Alice", "Bob"])
    assert _go_result(Result((1, 1), "equal areas")) == "0"
