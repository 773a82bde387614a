"""Clocks of games: pure, in milliseconds, with the time as an argument; the one place where a flag falls.

* *Fischer*: ``main_ms`` to begin with, ``step_ms`` more after each move.
* *Bronstein*: after each move the time it took is given back, up to ``step_ms``.
* *Byo-yomi*: after the main time come ``periods`` of ``step_ms``; a move within a period gives that period back.
* *Correspondence*: ``step_ms`` for each move.

The network's time is not the player's: a move carries what the player's own stopwatch says, and of the difference to
the referee's clock at most ``lag_ms`` a move, and ``GAME_LAG_MOVES`` times that a match, is not charged. Everything is
computed from times that the referee signs, so that whoever replays a transcript gets the same clocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.rules.base import ParameterError

_Ms = Annotated[int, Meta(ge=0, le=L.GAME_CLOCK_MS_MAX)]


class System(IntEnum):
    """How time is given."""

    NONE = 0  # no clock
    FISCHER = 1
    BRONSTEIN = 2
    BYOYOMI = 3
    CORRESPONDENCE = 4


class Spec(msgspec.Struct, frozen=True, array_like=True):
    """The clock of a match."""

    system: Annotated[int, Meta(ge=0, le=4)] = 0
    main_ms: _Ms = 0
    step_ms: _Ms = 0
    periods: Annotated[int, Meta(ge=0, le=L.GAME_PERIODS_MAX)] = 0
    lag_ms: Annotated[int, Meta(ge=0, le=L.GAME_LAG_MS_MAX)] = 0


NO_CLOCK: Final = Spec()


@dataclass(frozen=True, slots=True)
class Clocks:
    """All clocks of a match, by seat. Those of ``running`` run since ``since_ms``."""

    left_ms: tuple[int, ...]
    periods: tuple[int, ...]
    lag_ms: tuple[int, ...]  # what may still not be charged, in the whole match
    running: tuple[int, ...] = ()
    since_ms: int = 0


class FlagFallen(ParameterError):
    """The time of this player is over."""


def check_spec(spec: Spec) -> None:
    """Refuse a clock that cannot be played with. Raises ``ParameterError``."""
    needs = {
        System.NONE: not (spec.main_ms or spec.step_ms or spec.periods or spec.lag_ms),
        System.FISCHER: spec.main_ms > 0 and not spec.periods,
        System.BRONSTEIN: spec.main_ms > 0 and not spec.periods,
        System.BYOYOMI: spec.periods > 0 and spec.step_ms > 0,
        System.CORRESPONDENCE: spec.step_ms > 0 and not spec.main_ms and not spec.periods,
    }
    if not needs[System(spec.system)]:
        raise ParameterError(f"a clock that makes no sense: {System(spec.system).name.lower()} {spec}")


def new(spec: Spec, seats: int) -> Clocks:
    """The clocks before the first move; nothing runs."""
    left = spec.step_ms if spec.system == System.CORRESPONDENCE else spec.main_ms
    lag = spec.lag_ms * L.GAME_LAG_MOVES
    return Clocks((left,) * seats, (spec.periods,) * seats, (lag,) * seats)


def run(clocks: Clocks, seats: tuple[int, ...], now_ms: int) -> Clocks:
    """Let the clocks of these seats run, and no others. Those that run already (all of them) go on."""
    if seats == clocks.running:
        return clocks
    return replace(clocks, running=seats, since_ms=now_ms)


def budget_ms(spec: Spec, clocks: Clocks, seat: int) -> int | None:
    """All that a seat may spend on the move at hand; None: no end."""
    match System(spec.system):
        case System.NONE:
            return None
        case System.BRONSTEIN:
            return clocks.left_ms[seat] + spec.step_ms
        case System.BYOYOMI:
            return clocks.left_ms[seat] + clocks.periods[seat] * spec.step_ms
        case _:
            return clocks.left_ms[seat]


def deadline_ms(spec: Spec, clocks: Clocks, seat: int) -> int | None:
    """When the flag of a running seat falls if nothing comes: its time, and what the network may have taken of it."""
    budget = budget_ms(spec, clocks, seat)
    if budget is None or seat not in clocks.running:
        return None
    return clocks.since_ms + budget + min(spec.lag_ms, clocks.lag_ms[seat])


def next_deadline_ms(spec: Spec, clocks: Clocks) -> int | None:
    """When the next flag falls."""
    times = [at for seat in clocks.running if (at := deadline_ms(spec, clocks, seat)) is not None]
    return min(times, default=None)


def fallen(spec: Spec, clocks: Clocks, now_ms: int) -> tuple[int, ...]:
    """Whose flag has fallen by now: the first one, or several that fell in the same millisecond.

    In a game of turns only one clock runs, so at *both at zero* it is the player to move who has lost.
    """
    first = next_deadline_ms(spec, clocks)
    if first is None or now_ms < first:
        return ()
    return tuple(seat for seat in clocks.running if deadline_ms(spec, clocks, seat) == first)


def charge(
    spec: Spec, clocks: Clocks, seat: int, now_ms: int, think_ms: int | None, *, moved: bool = True
) -> Clocks:  # fmt: skip
    """Stop the clock of a seat. ``think_ms``: by the player's own stopwatch; None: nothing is given back for the net.

    ``moved=False`` stops it without a move: neither increment nor a fresh period. A seat that does not run is charged
    nothing. Raises ``FlagFallen``: the time was over before.
    """
    if seat not in clocks.running:
        return clocks
    others = tuple(other for other in clocks.running if other != seat)
    elapsed = max(0, now_ms - clocks.since_ms)
    lag = 0 if think_ms is None else min(max(0, elapsed - think_ms), spec.lag_ms, clocks.lag_ms[seat])
    spent = elapsed - lag
    budget = budget_ms(spec, clocks, seat)
    if budget is None:
        return replace(clocks, running=others)
    if spent >= budget:
        raise FlagFallen(f"the time of player {seat + 1} was over {spent - budget} ms before")
    left, periods = _after(spec, clocks.left_ms[seat], clocks.periods[seat], spent, moved)
    return replace(
        clocks, running=others,
        left_ms=_with(clocks.left_ms, seat, left), periods=_with(clocks.periods, seat, periods),
        lag_ms=_with(clocks.lag_ms, seat, clocks.lag_ms[seat] - lag),
    )  # fmt: skip


def _after(spec: Spec, left: int, periods: int, spent: int, moved: bool) -> tuple[int, int]:
    match System(spec.system):
        case System.FISCHER:
            return left - spent + (spec.step_ms if moved else 0), periods
        case System.BRONSTEIN:
            # Up to the delay it costs nothing; a stop without a move does not use the delay twice.
            return left - max(0, spent - spec.step_ms), periods
        case System.BYOYOMI:
            over = spent - left
            return max(0, -over), periods - (max(0, over) // spec.step_ms)
        case _:
            return (spec.step_ms if moved else left - spent), periods


def _with(values: tuple[int, ...], seat: int, value: int) -> tuple[int, ...]:
    return (*values[:seat], value, *values[seat + 1 :])


# -- as people write them ----------------------------------------------------------------------------------------------
_TEXT: Final = re.compile(r"(?:(fischer|bronstein) )?(\d{1,7})\+(\d{1,6})|(\d{1,7})\+(\d{1,2})x(\d{1,6})|(\d{1,2})d")


def parse_spec(text: str, lag_ms: int = 0) -> Spec:
    """``none``; ``300+3`` (Fischer, seconds), ``bronstein 300+3``; ``600+5x30`` (byo-yomi); ``3d`` (correspondence).

    Raises ``ParameterError``.
    """
    if text == "none":
        return NO_CLOCK
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ParameterError(f"{text[:32]!r} is no clock: write none, 300+3, bronstein 300+3, 600+5x30 or 3d")
    kind, main, step, go_main, periods, period, days = found.groups()
    if days:
        values = (System.CORRESPONDENCE, 0, int(days) * 86_400_000, 0)
    elif periods:
        values = (System.BYOYOMI, int(go_main) * 1000, int(period) * 1000, int(periods))
    else:
        values = (System.BRONSTEIN if kind == "bronstein" else System.FISCHER, int(main) * 1000, int(step) * 1000, 0)
    spec = Spec(*values, 0 if days else lag_ms)
    if max(spec.main_ms, spec.step_ms) > L.GAME_CLOCK_MS_MAX or not 0 <= lag_ms <= L.GAME_LAG_MS_MAX:
        raise ParameterError(f"a clock of {text}: at most {L.GAME_CLOCK_MS_MAX // 86_400_000} days")
    check_spec(spec)
    return spec


def format_spec(spec: Spec) -> str:
    """What ``parse_spec`` reads; parts of a second and of a day are cut off."""
    main, step = spec.main_ms // 1000, spec.step_ms // 1000
    match System(spec.system):
        case System.NONE:
            return "none"
        case System.FISCHER:
            return f"{main}+{step}"
        case System.BRONSTEIN:
            return f"bronstein {main}+{step}"
        case System.BYOYOMI:
            return f"{main}+{spec.periods}x{step}"
        case System.CORRESPONDENCE:
            return f"{spec.step_ms // 86_400_000}d"
