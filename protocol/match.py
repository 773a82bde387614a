"""A match as a fold: what each entry of its log does, and which entries there cannot be.

The referee appends by ``advance`` and ``verify`` replays by ``advance``, so what one allows the other accepts, and
nothing else. An entry is what a player says (and signs), or what the referee says alone. Every outcome of bad input is
one of ``Fault``; the table with what each means for the players is in ``extensions/games/DESIGN.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from protocol import limits as L
from protocol.plies import REFEREE_FROM, Act, Fault, Kind, MatchError
from protocol.rules import clocks as C
from protocol.rules.base import CHANCE, DRAW, AnyRules, IllegalAction, Result
from protocol.rules.deals import move_commitment

_MS_DIGITS: Final = 15


@dataclass(frozen=True, slots=True)
class _Undo:
    """A state before a move, and the one before it."""

    state: Any
    seat: int
    before: _Undo | None = field(repr=False, compare=False)  # long chains: neither printed nor compared


@dataclass(frozen=True, slots=True)
class Match:
    """Where a match stands."""

    match: bytes
    seats: int
    spec: C.Spec
    state: Any
    clocks: C.Clocks
    at_ms: int
    secret: bytes = field(default=b"", repr=False)  # what is hidden is drawn from it; empty where it is not known
    ply: int = 0  # entries so far
    moves: int = 0  # actions of the game so far, those of chance not counted
    draw_by: int | None = None  # whose draw offer stands
    takeback_by: int | None = None  # who asks to take a move back
    offers: tuple[int, ...] = ()  # by seat: how often it has asked since its last move
    takebacks: int = 0
    commits: tuple[str, ...] = ()  # by seat, in a simultaneous turn; empty: none yet
    reveals: tuple[str, ...] = ()
    outcome: Result | None = None
    told: bool = False  # the result is in the log
    undo: _Undo | None = field(default=None, repr=False, compare=False)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    @property
    def began(self) -> bool:
        """Whether everybody has moved once: from then on clocks run, and nothing can be aborted."""
        return self.moves >= self.seats


def new_match(
    rules: AnyRules, params: dict[str, Any], seats: int, spec: C.Spec, match: bytes, secret: bytes, at_ms: int
) -> Match:  # fmt: skip
    """A match before its first entry. Raises ``ParameterError``."""
    C.check_spec(spec)
    none = (0,) * seats
    blank = ("",) * seats
    state = rules.initial(params, seats, secret)
    return Match(
        match, seats, spec, state, C.new(spec, seats), at_ms, secret, offers=none, commits=blank, reveals=blank,
        outcome=rules.result(state),
    )  # fmt: skip


def advance(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    """The match after one more entry at a time of the referee's clock. Raises ``MatchError``: it cannot be."""
    if at_ms < match.at_ms:
        raise MatchError(Fault.BACKWARDS, f"it is {match.at_ms - at_ms} ms older than the entry before it")
    if match.ply >= _room(act.kind):
        raise MatchError(Fault.TOO_LONG, f"a match has at most {L.GAME_PLIES_MAX} entries: resign")
    if match.is_over and act.kind not in (Kind.SEED, Kind.RESULT):
        raise MatchError(Fault.OVER, "the match is over")
    if not 0 <= act.seat < match.seats:
        raise MatchError(Fault.NOT_SEATED, f"there is no player {act.seat + 1}")
    if act.kind < REFEREE_FROM and C.fallen(match.spec, match.clocks, at_ms):
        raise MatchError(Fault.LATE, "a flag fell before this came")
    after = _DO[act.kind](rules, match, act, at_ms)
    return replace(after, ply=match.ply + 1, at_ms=at_ms)


def _room(kind: Kind) -> int:
    """How many entries there may be before one of this kind: a long match can still be given up, and be ended."""
    if kind >= REFEREE_FROM and kind != Kind.PAUSED:
        return L.GAME_PLIES_MAX
    return L.GAME_PLIES_MAX - (L.GAME_ENDING_PLIES // 2 if kind == Kind.RESIGN else L.GAME_ENDING_PLIES)


# -- moves -------------------------------------------------------------------------------------------------------------
def _must_act(rules: AnyRules, match: Match, seat: int) -> tuple[int, ...]:
    turn = rules.turn(match.state)
    if seat not in turn:
        raise MatchError(Fault.OUT_OF_TURN, "it is not your turn")
    return turn


def _applied(rules: AnyRules, state: Any, seat: int, action: str) -> Any:
    try:
        return rules.apply(state, seat, action)
    except IllegalAction as error:
        raise MatchError(Fault.ILLEGAL, str(error)) from None


def _stopped(match: Match, act: Act, at_ms: int, *, moved: bool = True) -> C.Clocks:
    try:
        return C.charge(match.spec, match.clocks, act.seat, at_ms, act.think_ms, moved=moved)
    except C.FlagFallen as error:
        raise MatchError(Fault.LATE, str(error)) from None


def _move(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if len(_must_act(rules, match, act.seat)) > 1:
        raise MatchError(Fault.MUST_COMMIT, "all move at the same time: commit first, reveal when all have")
    if act.draw and match.seats != 2:
        raise MatchError(Fault.NOT_HERE, "only two players can agree on a draw")
    state = _applied(rules, match.state, act.seat, act.action)
    clocks = _stopped(match, act, at_ms)
    offers = _put(match.offers, act.seat, int(act.draw))
    undo = _Undo(match.state, act.seat, match.undo) if rules.undoable else None
    return _settled(
        rules, match, state, at_ms, clocks=clocks, undo=undo, offers=offers, moves=match.moves + 1, takeback_by=None,
        draw_by=act.seat if act.draw else None,
    )  # fmt: skip


def _settled(
    rules: AnyRules, match: Match, state: Any, at_ms: int, *, clocks: C.Clocks | None = None, moves: int | None = None,
    **changes: Any,
) -> Match:  # fmt: skip
    """A new state of the game: its end, or the clocks of those whose turn it is; with what else has changed."""
    outcome, played = rules.result(state), match.moves if moves is None else moves
    began = played >= match.seats
    running = () if outcome or not began else tuple(seat for seat in rules.turn(state) if seat != CHANCE)
    blank = ("",) * match.seats
    return replace(
        match, state=state, outcome=outcome, clocks=C.run(clocks or match.clocks, running, at_ms), moves=played,
        commits=blank, reveals=blank, **changes,
    )  # fmt: skip


def _commit(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if len(_must_act(rules, match, act.seat)) == 1:
        raise MatchError(Fault.NOT_HERE, "nobody else moves now: just move")
    if match.commits[act.seat]:
        raise MatchError(Fault.DUPLICATE, "you have committed to a move already")
    if len(act.action) != 2 * L.KEY_BYTES or set(act.action) - set("0123456789abcdef"):
        raise MatchError(Fault.MALFORMED, "a commitment is 64 hexadecimal digits")
    commits = _put(match.commits, act.seat, act.action)
    clocks = _stopped(match, act, at_ms)
    if all(commits[seat] for seat in rules.turn(match.state)) and match.began:
        clocks = C.run(clocks, rules.turn(match.state), at_ms)
    return replace(match, commits=commits, clocks=clocks)


def _reveal(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    turn = _must_act(rules, match, act.seat)
    if not all(match.commits[seat] for seat in turn):
        raise MatchError(Fault.NOT_COMMITTED, "not everybody has committed yet")
    if match.reveals[act.seat]:
        raise MatchError(Fault.DUPLICATE, "you have revealed your move already")
    action, _, salt = act.action.rpartition(" ")
    try:
        shown = move_commitment(match.match, act.seat, match.moves, action, bytes.fromhex(salt))
    except ValueError:
        raise MatchError(Fault.MALFORMED, "a reveal is the move, a space, and the salt in hexadecimal") from None
    if shown.hex() != match.commits[act.seat]:
        raise MatchError(Fault.WRONG_REVEAL, "this is not the move that you committed to")
    _applied(rules, match.state, act.seat, action)  # an illegal move is refused before anybody else's is used
    clocks = _stopped(match, act, at_ms)
    reveals = _put(match.reveals, act.seat, action)
    if not all(reveals[seat] for seat in turn):
        return replace(match, reveals=reveals, clocks=clocks)
    state = match.state
    for seat in turn:
        state = _applied(rules, state, seat, reveals[seat])
    moved = replace(match, clocks=clocks, moves=match.moves + len(turn), offers=(0,) * match.seats)
    return _settled(rules, moved, state, at_ms)


def _chance(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if rules.turn(match.state) != (CHANCE,):
        raise MatchError(Fault.FORGED_CHANCE, "chance has no turn here")
    if match.secret and rules.chance(match.state, match.secret) != act.action:
        raise MatchError(Fault.FORGED_CHANCE, f"{act.action!r} is not what the seed decided")
    try:
        state = rules.apply(match.state, CHANCE, act.action)
    except IllegalAction as error:
        raise MatchError(Fault.FORGED_CHANCE, str(error)) from None
    return _settled(rules, match, state, at_ms)


# -- offers ------------------------------------------------------------------------------------------------------------
def _may_ask(match: Match, seat: int) -> None:
    if match.seats != 2:
        raise MatchError(Fault.NOT_HERE, "only two players can agree on a draw")
    if match.offers[seat] >= L.GAME_OFFERS_PER_MOVE:
        raise MatchError(Fault.OFFERED, "you have asked already: move first")


def _draw(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if match.draw_by == 1 - act.seat and match.seats == 2:
        return _ended(match, Result((DRAW, DRAW), "draw agreed"))
    _may_ask(match, act.seat)
    return replace(match, draw_by=act.seat, offers=_put(match.offers, act.seat, match.offers[act.seat] + 1))


def _decline(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    other = 1 - act.seat
    if match.seats != 2 or other not in (match.draw_by, match.takeback_by):
        raise MatchError(Fault.NOT_OFFERED, "nothing was offered to you")
    draw_by = None if match.draw_by == other else match.draw_by
    return replace(match, draw_by=draw_by, takeback_by=None if match.takeback_by == other else match.takeback_by)


def _takeback(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if match.seats != 2 or not rules.undoable:
        raise MatchError(Fault.NOT_HERE, "in this game nothing can be taken back")
    if match.takeback_by != 1 - act.seat:
        _may_ask(match, act.seat)
        if match.takebacks >= L.GAME_TAKEBACKS_MAX:
            raise MatchError(Fault.OFFERED, f"{L.GAME_TAKEBACKS_MAX} moves were taken back: it is enough")
        if _before_move_of(match, act.seat) is None:
            raise MatchError(Fault.NOT_HERE, "you have not moved yet")
        return replace(match, takeback_by=act.seat, offers=_put(match.offers, act.seat, match.offers[act.seat] + 1))
    asker = 1 - act.seat
    found = _before_move_of(match, asker)
    if found is None:
        raise MatchError(Fault.NOT_HERE, "there is nothing to take back")
    undo, count = found
    clocks = match.clocks
    if clocks.running:
        clocks = _stopped(match, Act(act.kind, clocks.running[0]), at_ms, moved=False)
    back = replace(
        match, undo=undo.before, moves=match.moves - count, takebacks=match.takebacks + 1, takeback_by=None,
        draw_by=None, offers=(0, 0), clocks=clocks,
    )  # fmt: skip
    return _settled(rules, back, undo.state, at_ms)


def _before_move_of(match: Match, seat: int) -> tuple[_Undo, int] | None:
    """The state before the last move of a seat, and how many moves ago that was."""
    undo, count = match.undo, 1
    while undo is not None and undo.seat != seat:
        undo, count = undo.before, count + 1
    return None if undo is None else (undo, count)


# -- ends --------------------------------------------------------------------------------------------------------------
def _ended(match: Match, outcome: Result) -> Match:
    return replace(match, outcome=outcome, clocks=replace(match.clocks, running=()), draw_by=None, takeback_by=None)


def _without(match: Match, seat: int, reason: str) -> Result:
    """A seat has given up: all others have won."""
    return Result(tuple(0 if at == seat else 2 for at in range(match.seats)), reason)


def _resign(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    return _ended(match, _without(match, act.seat, "resignation"))


def _claim(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    _must_act(rules, match, act.seat)
    outcome = rules.claim(match.state, act.seat, act.action)
    if outcome is None:
        raise MatchError(Fault.NOT_JUSTIFIED, "the rules do not give a draw here")
    return _ended(match, outcome)


def _abort(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if match.began:
        raise MatchError(Fault.TOO_LATE_TO_ABORT, "everybody has moved: resign, or offer a draw")
    return _ended(match, Result((), "aborted"))


def _timeout(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    down = C.fallen(match.spec, match.clocks, at_ms)
    if act.seat not in down:
        raise MatchError(Fault.FORGED_TIMEOUT, "the time of this player is not over")
    if len(down) > 1:
        return _ended(match, Result((DRAW,) * match.seats, "all flags fell together"))
    return _ended(match, rules.flag(match.state, act.seat))


def _absent(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    outcome = replace(rules.flag(match.state, act.seat), reason="left") if match.began else Result((), "aborted")
    return _ended(match, outcome)


def _seed(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if not match.is_over:
        raise MatchError(Fault.WRONG_SEED, "a seed is revealed after the end only")
    return match


def _result(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    if match.outcome is None or match.told or act.action != outcome_text(match.outcome):
        raise MatchError(Fault.FORGED_RESULT, f"the log does not end with {act.action!r}")
    return replace(match, told=True)


def _paused(rules: AnyRules, match: Match, act: Act, at_ms: int) -> Match:
    digits = act.action
    away_ms = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _MS_DIGITS else -1
    if not match.clocks.running or not 0 < away_ms <= at_ms - match.clocks.since_ms:
        raise MatchError(Fault.FORGED_RULING, "no clock ran for so long")
    return replace(match, clocks=replace(match.clocks, since_ms=match.clocks.since_ms + away_ms))


def outcome_text(outcome: Result) -> str:
    """A result in one line, as the referee signs it: ``2-0 checkmate``; ``- aborted``."""
    return f"{'-'.join(map(str, outcome.points)) or '-'} {outcome.reason}"


def _put(values: tuple[Any, ...], seat: int, value: Any) -> tuple[Any, ...]:
    return (*values[:seat], value, *values[seat + 1 :])


_DO: Final[dict[Kind, Callable[[AnyRules, Match, Act, int], Match]]] = {
    Kind.MOVE: _move, Kind.RESIGN: _resign, Kind.DRAW: _draw, Kind.DECLINE: _decline, Kind.CLAIM: _claim,
    Kind.TAKEBACK: _takeback, Kind.ABORT: _abort, Kind.COMMIT: _commit, Kind.REVEAL: _reveal, Kind.CHANCE: _chance,
    Kind.TIMEOUT: _timeout, Kind.ABSENT: _absent, Kind.ABORTED: _abort, Kind.SEED: _seed, Kind.RESULT: _result,
    Kind.PAUSED: _paused,
}  # fmt: skip
