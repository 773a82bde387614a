"""Moves as people write them, and matches in the formats of other programs: PGN and SGF with clocks, UCI, FEN."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from clients.games.following import Following, Position
from protocol.judging import start
from protocol.match import Match, advance
from protocol.plies import Kind
from protocol.rules import clocks as C
from protocol.rules.base import CHANCE, WIN, Result, RulesError, checked
from protocol.rules.chess.fen import parse_fen
from protocol.rules.chess.notation import parse_san, parse_uci, to_san, to_uci
from protocol.rules.chess.pgn import Game, parse_pgn, to_pgn
from protocol.rules.games import GAMES
from protocol.rules.go.board import handicap, name_of
from protocol.rules.go.sgf import Record, parse_sgf, to_sgf
from protocol.transcript import Ruling, open_signed

_RESULTS: Final[dict[tuple[int, ...], str]] = {(2, 0): "1-0", (0, 2): "0-1", (1, 1): "1/2-1/2"}
_SUIT_LETTERS: Final = {"♠": "s", "♥": "h", "♦": "d", "♣": "c"}


def action_of(position: Position, text: str) -> str:
    """The action that somebody means; chess in SAN or UCI, cards with suits as letters or signs.

    What cannot be understood comes back as it is: the rules refuse it.
    """
    wanted = " ".join(text.split())
    if wanted in position.legal:
        return wanted
    if position.game == "chess":
        board = parse_fen(position.seen.decode())
        for read in (parse_uci, parse_san):
            try:
                return to_uci(read(board, wanted))
            except RulesError:
                continue
    if position.game == "eights":
        letters = "".join(_SUIT_LETTERS.get(letter, letter) for letter in wanted.replace("10", "T"))
        return next((action for action in position.legal if action.lower() == letters.lower()), wanted)
    return next((action for action in position.legal if action.lower() == wanted.lower()), wanted)


def shown(position: Position, action: str) -> str:
    """A legal action as people write it: SAN in chess."""
    if position.game == "chess":
        board = parse_fen(position.seen.decode())
        return to_san(board, parse_uci(board, action))
    return action


def actions_of(following: Following) -> list[tuple[str, int | None]]:
    """The actions of an open game that count (what was taken back is not there), each with the mover's clock after.

    Raises ``RulesError`` for a game that cannot be followed here.
    """
    rules = following.rules
    if rules is None or rules.hidden:
        raise RulesError("this game cannot be replayed here move by move")
    log = start(rules, following.genesis, following.signed, b"")
    match, found = log.match, list[tuple[str, int | None]]()
    for act, entry in zip(following.acts, following.entries, strict=True):
        seat = act.seat
        match = advance(rules, match, act, open_signed(entry.ruling, Ruling).at_ms)
        if act.kind is Kind.MOVE:
            found.append((act.action, _left(match, seat)))
        elif act.kind is Kind.CHANCE:
            found.append((act.action, None))
        elif act.kind is Kind.TAKEBACK and match.moves < len(found):
            del found[match.moves :]
    return found


def _left(match: Match, seat: int) -> int | None:
    return C.budget_ms(match.spec, match.clocks, seat) if seat != CHANCE else None


def uci(following: Following) -> str:
    """A chess match as a UCI position. Raises ``RulesError`` for another game."""
    _need_chess(following)
    return " ".join(["position startpos moves", *(action for action, _ in actions_of(following))])


def pgn(following: Following, names: list[str]) -> str:
    """A chess match as PGN with clocks; ``names`` by seat. Raises ``RulesError`` for another game."""
    _need_chess(following)
    genesis = following.genesis
    rules, moves, clocks = following.rules, list[int](), list[int | None]()
    assert rules is not None
    state = rules.initial({}, 2, b"")
    for action, left in actions_of(following):
        moves.append(parse_uci(state.position, action))
        clocks.append(left)
        state = rules.apply(state, len(moves) - 1 & 1, action)
    outcome = following.position(0).outcome
    result = _RESULTS.get(outcome.points, "*") if outcome else "*"
    day = datetime.fromtimestamp(genesis.started_ms / 1000, UTC)
    tags = [
        ("Event", "rated match" if genesis.rated else "casual match"), ("Site", "Chappe"),
        ("Date", day.strftime("%Y.%m.%d")), ("Round", "-"), ("White", names[0]), ("Black", names[1]),
        ("TimeControl", _time_control(genesis.clock)), ("UTCDate", day.strftime("%Y.%m.%d")),
        ("UTCTime", day.strftime("%H:%M:%S")),
    ]  # fmt: skip
    if outcome:
        tags.append(("Termination", outcome.reason))
    tags.append(("ChappeMatch", genesis.match.hex()))
    return to_pgn(Game(tuple(tags), tuple(moves), result, tuple(clocks)))


def sgf(following: Following, names: list[str]) -> str:
    """A match of go as SGF with clocks; ``names`` by seat. Raises ``RulesError`` for another game."""
    genesis = following.genesis
    if genesis.game != "go":
        raise RulesError(f"SGF is for go, and this is {genesis.game}")
    full = checked(GAMES["go"], dict(genesis.params), 2)
    size, stones, first = int(full["size"]), tuple[str, ...](), 0
    if int(full["handicap"]) > 1:
        stones = tuple(name_of(point, size) for point in handicap(size, int(full["handicap"])))
        first = 1
    actions = actions_of(following)
    moves = tuple(((first + at) % 2, action) for at, (action, _) in enumerate(actions))
    day = datetime.fromtimestamp(genesis.started_ms / 1000, UTC)
    tags = [("PB", names[0]), ("PW", names[1]), ("DT", day.strftime("%Y-%m-%d")), ("GN", genesis.match.hex())]
    outcome = following.position(0).outcome
    if outcome and outcome.points:
        tags.append(("RE", _go_result(outcome)))
    return to_sgf(Record(size, str(full["komi"]), moves, stones, tuple(left for _, left in actions), tuple(tags)))


def _go_result(outcome: Result) -> str:
    """``B+3.5``, ``W+R`` (resigned), ``B+T`` (time), ``0`` (a draw)."""
    if outcome.points == (1, 1):
        return "0"
    winner = "B" if outcome.points[0] == WIN else "W"
    _, by, margin = outcome.reason.partition(" by ")
    return f"{winner}+{margin if by else {'resignation': 'R', 'time': 'T'}.get(outcome.reason, 'F')}"


def moves_of_sgf(text: str) -> list[str]:
    """The moves of an SGF game as actions. Raises ``SgfError``."""
    return [action for _, action in parse_sgf(text).moves]


def _time_control(spec: C.Spec) -> str:
    """As PGN writes it (8.6): ``300+3``; ``-`` where there is none."""
    if spec.system in (C.System.FISCHER, C.System.BRONSTEIN):
        return f"{spec.main_ms // 1000}+{spec.step_ms // 1000}"
    return "-" if spec.system == C.System.NONE else "?"


def _need_chess(following: Following) -> None:
    if following.genesis.game != "chess":
        raise RulesError(f"PGN, FEN and UCI are for chess, and this is {following.genesis.game}")


def moves_of_pgn(text: str) -> list[str]:
    """The moves of a PGN game as actions. Raises ``PgnError``, and ``RulesError`` if it does not begin at the start."""
    game = parse_pgn(text)
    if "FEN" in dict(game.tags):
        raise RulesError("a match begins with the usual position")
    return [to_uci(move) for move in game.moves]
