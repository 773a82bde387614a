"""The rules beside an independent program, published counts and figures, and the clocks judged from the log alone."""

from __future__ import annotations

import random
import time
from importlib.util import find_spec
from typing import Any

import msgspec
import trio

from extensions.games import table as T
from extensions.games.ratings import Rating, rate
from protocol.judging import verify
from protocol.plies import Fault, Kind
from protocol.rules.base import DRAW
from protocol.rules.chess.fen import START, parse_fen, to_fen
from protocol.rules.chess.moves import perft as count_moves
from protocol.rules.chess.rules import Chess, ChessState
from protocol.rules.chess.walls import is_walled
from protocol.rules.clocks import parse_spec
from protocol.rules.games import GAMES
from protocol.transcript import Ruling, Transcript, open_signed, sign
from tests.extensions.games.tables import JUDGE, Evening, evening
from tests.protocol.playing import REFEREE
from tests.support.proof import NotRun, check

CHESS = Chess()
#: The chess programming wiki's six positions, with their counts at depth 4 (the fourth also mirrored there).
PERFT = [
    (START, 197_281),
    ("r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1", 4_085_603),
    ("8/2p5/3p4/KP5r/1R3p1k/8/4P1P1/8 w - - 0 1", 43_238),
    ("r3k2r/Pppp1ppp/1b3nbN/nP6/BBP1P3/q4N2/Pp1P2PP/R2Q1RK1 w kq - 0 1", 422_333),
    ("rnbq1k1r/pp1Pbppp/2p5/8/2B5/8/PPP1NnPP/RNBQK2R w KQ - 1 8", 2_103_487),
    ("r4rk1/1pp1qppp/p1np1n2/2b1p1B1/2B1P1b1/P1NP1N2/1PP1QPPP/R4RK1 w - - 0 10", 3_894_594),
]


async def perft(seed: int) -> dict[str, Any]:
    """The six well-known positions to depth 4."""

    def run() -> int:
        total = 0
        for fen, count in PERFT:
            found = count_moves(parse_fen(fen), 4)
            check(found == count, f"{fen}: {found} instead of {count}")
            total += found
        return total

    began = time.perf_counter()
    total = await trio.to_thread.run_sync(run)
    return {"positions": len(PERFT), "moves": total, "s": round(time.perf_counter() - began, 1)}


async def glickman() -> dict[str, Any]:
    """The worked example of Mark Glickman's paper."""
    await trio.lowlevel.checkpoint()
    games = [(Rating(1400, 30), 1.0), (Rating(1550, 100), 0.0), (Rating(1700, 300), 0.0)]
    after = rate(Rating(1500, 200, 0.06), games, 0.5)
    figures = {"rating": after.rating, "deviation": after.deviation, "volatility": after.volatility}
    # The paper rounds in between and cuts off: one unit of its last digit is as near as its own figures are.
    published = {"rating": (1464.06, 0.01), "deviation": (151.52, 0.01), "volatility": (0.05999, 0.00001)}
    for name, (value, unit) in published.items():
        check(abs(figures[name] - value) <= unit, f"{name} is {figures[name]}, and {value} is published")
    return {name: f"{value:.6f} (published {published[name][0]})" for name, value in figures.items()}


# -- the oracle --------------------------------------------------------------------------------------------------------
def _oracle() -> Any:
    if find_spec("chess") is None:
        raise NotRun("the package chess is not installed (GPL: it is used for this comparison only)")
    import chess

    return chess


def _compare(board: Any, state: ChessState, deep: bool) -> None:
    """One position: legal moves, how it ends, and what may be claimed (``deep``: with every announced move too)."""
    seat = 0 if board.turn else 1
    where = board.fen()
    check(board.fen(en_passant="legal") == to_fen(state.position), f"another position than {where}")
    outcome, result = board.outcome(), CHESS.result(state)
    check((outcome is None) == (result is None), f"{where}: the oracle says {outcome}, we say {result}")
    if outcome is not None and result is not None:
        winner = {True: (2, 0), False: (0, 2), None: (DRAW, DRAW)}[outcome.winner]
        check(winner == result.points, f"{where}: the oracle says {outcome}, we say {result}")
        return
    legal = CHESS.actions(state, seat)
    check({move.uci() for move in board.legal_moves} == set(legal), f"{where}: other legal moves")
    if is_walled(state.position):
        return  # the oracle does not look for walls of pawns, which may be claimed
    now = board.is_repetition(3) or board.is_fifty_moves()
    check(now == (CHESS.claim(state, seat, "") is not None), f"{where}: another claim")
    if deep:
        able = now or any(CHESS.claim(state, seat, action) is not None for action in legal)
        check(able == board.can_claim_draw(), f"{where}: another claim with a move")


def _one_game(chess: Any, chance: random.Random, plies: int, patient: bool) -> int:
    """Play at random beside the oracle; patient players neither take nor move pawns if they can help it."""
    board, state = chess.Board(), CHESS.initial({}, 2, b"")
    while True:
        _compare(board, state, deep=board.halfmove_clock > 95 or board.ply() % 16 == 0)
        if CHESS.result(state) is not None or board.ply() >= plies:
            return int(board.ply())
        moves = sorted(board.legal_moves, key=lambda move: move.uci())
        quiet = [move for move in moves if not board.is_zeroing(move)]
        move = chance.choice(quiet if patient and quiet and chance.random() < 0.995 else moves)
        state = CHESS.apply(state, 0 if board.turn else 1, move.uci())
        board.push(move)


async def _beside(seed: int, games: int, plies: int, patient: bool) -> dict[str, Any]:
    chess = _oracle()
    chance, total = random.Random(seed), 0
    began = time.perf_counter()
    for _ in range(games):
        total += await trio.to_thread.run_sync(_one_game, chess, chance, plies, patient)
    return {"games": games, "positions": total, "differences": 0, "s": round(time.perf_counter() - began)}


async def random_games(seed: int, games: int, plies: int) -> dict[str, Any]:
    """Random games: legal moves, ends and claims at every ply."""
    return await _beside(seed, games, plies, patient=False)


async def long_games(seed: int, games: int) -> dict[str, Any]:
    """Games of players who shuffle: repetitions, 50 and 75 moves."""
    return await _beside(seed, games, 600, patient=True)


# -- speed -------------------------------------------------------------------------------------------------------------
async def validated(seed: int) -> dict[str, Any]:
    """Signed moves judged, logged and countersigned, in this process on one core; nothing is stored or sent."""
    figures: dict[str, Any] = {}
    for game in ("chess", "connectfour", "tictactoe"):
        figures[f"{game} /s"] = round(await trio.to_thread.run_sync(_moves_per_s, game, seed))
    check(min(figures.values()) >= 5000, f"less than 5,000 a second: {figures}")
    return figures


def _moves_per_s(game: str, seed: int, moves: int = 4000) -> float:
    """Statements are signed beforehand, as they come from players."""
    chance, spent, done = random.Random(seed), 0.0, 0
    while done < moves:
        one = evening(game, clock=parse_spec("600+5", 500))
        while one.table.phase is T.Phase.PLAYING and done < moves:
            assert one.table.log is not None
            state = one.table.log.match.state
            seat = GAMES[game].turn(state)[0]
            said = T.Said(
                one.table.players[seat].account,
                one.signed(seat, Kind.MOVE, chance.choice(GAMES[game].actions(state, seat))),
            )
            one.now_ms += 1000
            began = time.thread_time()  # of one core, whoever else wants the machine
            decision = JUDGE.decide(one.table, said, one.now_ms)
            spent += time.thread_time() - began
            one.table = decision.table
            done += 1
    return done / spent


# -- time --------------------------------------------------------------------------------------------------------------
async def timeouts(seed: int, matches: int = 200) -> dict[str, Any]:
    """Matches with every kind of clock that end on time: the log alone tells it, to the millisecond."""
    return await trio.to_thread.run_sync(_timeouts, seed, matches)


def _timeouts(seed: int, matches: int) -> dict[str, Any]:
    chance, found, early = random.Random(seed), 0, 0
    for number in range(matches):
        text = ("20+1", "bronstein 20+2", "5+3x4", "1d")[number % 4]
        one = evening("connectfour", clock=parse_spec(text, 0 if text == "1d" else 300))
        pace = 40_000_000 if text == "1d" else 8000
        while one.table.phase is T.Phase.PLAYING:
            _moves_or_waits(one, chance, pace)
        verdict = one.verdict()
        check(verdict.ok and verdict.final, f"{text}: {verdict.why}")
        timed = [ply for ply, (act, _) in enumerate(verdict.acts) if act.kind is Kind.TIMEOUT]
        if timed:
            found += 1
            early += _is_refused_earlier(one, timed[0])
    check(found >= matches // 4, f"only {found} of {matches} matches ended on time")
    check(early == found, f"{found - early} time-outs could be moved forward by a millisecond")
    return {"matches": matches, "ended on time": found, "one ms earlier is refused": early}


def _moves_or_waits(one: Evening, chance: random.Random, pace: int) -> None:
    """A player moves after a while, or the referee wakes because the flag has fallen before."""
    assert one.table.log is not None
    match = one.table.log.match
    think = round(chance.expovariate(1 / pace))
    wakes = [effect.at_ms for effect in one.effects if isinstance(effect, T.Wake)]
    if match.began and wakes and one.now_ms + think >= wakes[0]:
        one.happens(T.Tick(), wakes[0] - one.now_ms)
        return
    seat = GAMES["connectfour"].turn(match.state)[0]
    action = chance.choice(GAMES["connectfour"].actions(match.state, seat))
    one.say(seat, Kind.MOVE, action, min(think, 30_000) if not match.began else think, think_ms=think)


def _is_refused_earlier(one: Evening, ply: int) -> bool:
    """Whether verifying refuses a referee that calls the same time-out one millisecond before."""
    assert one.table.genesis is not None
    entries = list(one.log[: ply + 1])
    ruling = open_signed(entries[ply].ruling, Ruling)
    forged = sign(msgspec.structs.replace(ruling, at_ms=ruling.at_ms - 1), REFEREE)
    entries[ply] = msgspec.structs.replace(entries[ply], ruling=forged)
    verdict = verify(Transcript("chappe-game", one.table.genesis, tuple(entries)), GAMES)
    return (verdict.bad_ply, verdict.fault) == (ply, Fault.FORGED_TIMEOUT)
