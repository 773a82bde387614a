"""Backgammon: one game without the doubling cube; the dice come from the committed seed.

Points count from 1 to 24 as white moves down them to its home (1 to 6) and off; black moves the other way. An action
is every step of a turn: ``13/7 8/7``, ``bar/20``, ``6/off``; the points are always named from the mover's side. Both
dice must be used if they can be; if only one can, it is the higher one where there is a choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from protocol.rules.base import CHANCE, Allowed, IllegalAction, Params, Plain, Result, checked, two_player
from protocol.rules.deals import dice

BAR: Final = 25
_START: Final = {24: 2, 13: 5, 8: 3, 6: 5}
Side = tuple[int, ...]  # checkers by point from the own side: index 0 is off, 25 the bar


@dataclass(frozen=True, slots=True)
class Backgammon:
    """Both sides, whose turn it is (CHANCE before the throw), the dice, how many throws there were."""

    sides: tuple[Side, Side]
    mover: int = 0
    dice: tuple[int, ...] = ()
    throws: int = 0
    opened: bool = False  # the first throw, a die each, has decided who begins


def _start() -> Side:
    return tuple(_START.get(point, 0) for point in range(BAR + 1))


def _blocked(other: Side, point: int) -> bool:
    return other[25 - point] > 1


def _steps(own: Side, other: Side, die: int) -> list[int]:
    """From where a checker can go by one die."""
    if own[BAR]:
        return [] if _blocked(other, BAR - die) else [BAR]
    home = not any(own[7:25])
    found = []
    for point in range(24, 0, -1):
        if not own[point]:
            continue
        target = point - die
        if target > 0:
            if not _blocked(other, target):
                found.append(point)
        elif home and (target == 0 or not any(own[point + 1 : 7])):
            found.append(point)
    return found


def _moved(own: Side, other: Side, origin: int, die: int) -> tuple[Side, Side]:
    target = max(0, origin - die)
    mine, theirs = list(own), list(other)
    mine[origin] -= 1
    mine[target] += 1
    if target and theirs[25 - target] == 1:
        theirs[25 - target] = 0
        theirs[BAR] += 1
    return tuple(mine), tuple(theirs)


def _name(origin: int, die: int) -> str:
    start = "bar" if origin == BAR else str(origin)
    return f"{start}/{'off' if origin <= die else origin - die}"


@lru_cache(maxsize=32)
def _turns(own: Side, other: Side, rolled: tuple[int, ...]) -> dict[str, tuple[Side, Side]]:
    """Every way to use as many dice as possible, by its name; ways that end alike have one name."""
    orders = {rolled, rolled[::-1]}
    best: dict[tuple[Side, Side], tuple[int, int, str]] = {}

    def walk(mine: Side, theirs: Side, left: tuple[int, ...], names: tuple[str, ...], used: int, pips: int) -> None:
        ways = _steps(mine, theirs, left[0]) if left else []
        if not ways:
            entry = (used, pips, " ".join(names))
            known = best.get((mine, theirs))
            if known is None or entry[:2] > known[:2] or (entry[:2] == known[:2] and entry[2] < known[2]):
                best[mine, theirs] = entry
        for origin in ways:
            after = _moved(mine, theirs, origin, left[0])
            walk(*after, left[1:], (*names, _name(origin, left[0])), used + 1, max(pips, left[0]))

    for order in orders:
        walk(own, other, order, (), 0, 0)
    most = max(used for used, _pips, _name_ in best.values())
    high = max(pips for used, pips, _name_ in best.values() if used == most)
    fits = {
        name: after
        for after, (used, pips, name) in best.items()
        if used == most and (most != 1 or len(set(rolled)) == 1 or pips == high)
    }
    return {name or "pass": after for name, after in fits.items()}


class BackgammonRules(Plain[Backgammon]):
    """Seat 0 is white. Gammons and backgammons are told in the reason; points are those of a win."""

    name = "backgammon"
    version = 1
    seats = (2, 2)
    undoable = False
    parameters: Allowed = {}  # noqa: RUF012 (a constant of the class)

    def initial(self, params: Params, seats: int, seed: bytes) -> Backgammon:
        """The usual beginning; chance throws first."""
        checked(self, params, seats)
        return Backgammon((_start(), _start()))

    def turn(self, state: Backgammon) -> tuple[int, ...]:
        """Chance, then who has thrown."""
        if self.result(state):
            return ()
        return (state.mover,) if state.dice else (CHANCE,)

    def chance(self, state: Backgammon, seed: bytes) -> str:
        """The next throw; the first one is thrown again until the dice differ. Raises ``IllegalAction``."""
        if self.turn(state) != (CHANCE,):
            raise IllegalAction("nobody throws now")
        throw = dice(seed, state.throws)
        again = 0
        while not state.opened and throw[0] == throw[1]:
            again += 1
            throw = dice(seed, state.throws, 2 + 2 * again)[-2:]
        return f"{throw[0]}-{throw[1]}"

    def actions(self, state: Backgammon, seat: int) -> tuple[str, ...]:
        """Every way to play the throw; ``pass`` where none is."""
        if seat not in self.turn(state):
            return ()
        return tuple(_turns(state.sides[seat], state.sides[1 - seat], state.dice))

    def apply(self, state: Backgammon, seat: int, action: str) -> Backgammon:
        """Throw (CHANCE) or move. Raises ``IllegalAction``."""
        if seat == CHANCE and self.turn(state) == (CHANCE,):
            return self._thrown(state, action)
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:32]!r} cannot be played with this throw")
        mine, theirs = _turns(state.sides[seat], state.sides[1 - seat], state.dice)[action]
        sides = (mine, theirs) if seat == 0 else (theirs, mine)
        return replace(state, sides=sides, mover=1 - seat, dice=())

    def _thrown(self, state: Backgammon, action: str) -> Backgammon:
        if len(action) != 3 or action[1] != "-" or not {action[0], action[2]} <= set("123456"):
            raise IllegalAction(f"{action[:16]!r} is no throw")
        one, other = int(action[0]), int(action[2])
        mover = state.mover
        if not state.opened:
            if one == other:
                raise IllegalAction("the first throw decides who begins: the dice differ")
            mover = 0 if one > other else 1
        rolled = (one,) * 4 if one == other else (max(one, other), min(one, other))
        return replace(state, dice=rolled, throws=state.throws + 1, mover=mover, opened=True)

    def observe(self, state: Backgammon, seat: int | None) -> bytes:
        """Both sides, point by point from white's side, then bar and off of each, the dice and whose turn it is."""
        white, black = state.sides
        points = " ".join(str(white[point] - black[25 - point]) for point in range(1, 25))
        rest = f"bar {white[BAR]} {black[BAR]} off {white[0]} {black[0]}"
        return f"{points} / {rest} / {'-'.join(map(str, state.dice)) or '?'} / {state.mover}".encode()

    def result(self, state: Backgammon) -> Result | None:
        """Who has borne off all fifteen."""
        for seat in (0, 1):
            if state.sides[seat][0] == 15:
                loser = state.sides[1 - seat]
                far = any(loser[19:])  # on the bar, or in the winner's home
                return two_player(seat, "single" if loser[0] else "backgammon" if far else "gammon")
        return None
