"""Crazy eights: hidden hands from one committed shuffle, for two to five.

Play a card of the suit or the rank that lies on top; an eight goes on anything, and names the suit that counts. Who
cannot or does not want to play draws one card, and may then play a card or pass. Who has no card left wins; if nothing
can be drawn and all have passed, the lowest hand wins (eights 50, faces 10, others their number).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from protocol.rules.base import LOSS, WIN, Allowed, IllegalAction, Params, Plain, Result, checked
from protocol.rules.deals import shuffled

RANKS: Final = "23456789TJQKA"
SUITS: Final = "shdc"
DECK: Final = tuple(rank + suit for suit in SUITS for rank in RANKS)
_HAND: Final = {2: 7}  # five cards each for more than two
_WORTH: Final = {"8": 50, "T": 10, "J": 10, "Q": 10, "K": 10, "A": 1}


@dataclass(frozen=True, slots=True)
class Eights:
    """The hands, what can still be drawn, what lies on top, the suit that counts, and whose turn it is."""

    hands: tuple[tuple[str, ...], ...]
    stock: tuple[str, ...]
    top: str
    suit: str
    mover: int = 0
    drawn: bool = False
    passes: int = 0


class CrazyEights(Plain[Eights]):
    """Actions: a card (``Ts``), an eight with the suit it names (``8h-c``), ``draw``, ``pass``."""

    name = "eights"
    version = 1
    seats = (2, 5)
    hidden = True
    undoable = False
    parameters: Allowed = {}  # noqa: RUF012 (a constant of the class)

    def initial(self, params: Params, seats: int, seed: bytes) -> Eights:
        """The deal: seat by seat, then the first card that is no eight is turned up; the skipped eights stay below."""
        checked(self, params, seats)
        deck = shuffled(seed, "deal", DECK)
        size = _HAND.get(seats, 5)
        hands = tuple(tuple(sorted(deck[at * size : (at + 1) * size])) for at in range(seats))
        rest = deck[seats * size :]
        first = next(at for at, card in enumerate(rest) if card[0] != "8")
        return Eights(hands, rest[:first] + rest[first + 1 :], rest[first], rest[first][1])

    def turn(self, state: Eights) -> tuple[int, ...]:
        """In turns."""
        return () if self._is_over(state) else (state.mover,)

    def _is_over(self, state: Eights) -> bool:
        return not all(state.hands) or state.passes >= len(state.hands)

    def actions(self, state: Eights, seat: int) -> tuple[str, ...]:
        """Cards that fit, and drawing, or passing when that was done or cannot be."""
        if seat not in self.turn(state):
            return ()
        found: list[str] = []
        for card in state.hands[seat]:
            if card[0] == "8":
                found += [f"{card}-{suit}" for suit in SUITS]
            elif card[0] == state.top[0] or card[1] == state.suit:
                found.append(card)
        return (*found, "pass" if state.drawn or not state.stock else "draw")

    def apply(self, state: Eights, seat: int, action: str) -> Eights:
        """Play, draw or pass. Raises ``IllegalAction``."""
        if action not in self.actions(state, seat):
            raise IllegalAction(f"{action[:16]!r} cannot be played now")
        following = (state.mover + 1) % len(state.hands)
        if action == "pass":
            passes = 0 if state.stock else state.passes + 1
            return replace(state, mover=following, drawn=False, passes=passes)
        hand = state.hands[seat]
        if action == "draw":
            hands = _with(state.hands, seat, tuple(sorted((*hand, state.stock[0]))))
            return replace(state, hands=hands, stock=state.stock[1:], drawn=True)
        card, _, suit = action.partition("-")
        hands = _with(state.hands, seat, tuple(other for other in hand if other != card))
        return Eights(hands, state.stock, card, suit or card[1], following)

    def observe(self, state: Eights, seat: int | None) -> bytes:
        """What lies on top, how many cards each has, whose turn it is (``+``: a card was drawn), and the own ones."""
        sizes = " ".join(str(len(hand)) for hand in state.hands)
        own = "" if seat is None else " ".join(state.hands[seat])
        turn = "-" if self._is_over(state) else f"{state.mover}{'+' if state.drawn else ''}"
        return f"{state.top} {state.suit} / {sizes} / {len(state.stock)} / {turn} / {own}".rstrip().encode()

    def view(self, seen: bytes, seat: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Whose turn it is and what this seat may do, from what it sees. Raises ``ValueError``: it is no such view."""
        top, _, stock, turn, own = (part.strip() for part in seen.decode().split("/"))
        if turn == "-":
            return (), ()
        mover = int(turn.rstrip("+"))
        hands = tuple(tuple(own.split()) if at == seat else ("?",) for at in range(max(mover, seat) + 1))
        state = Eights(hands, ("?",) * int(stock), top.split()[0], top.split()[1], mover, turn.endswith("+"))
        return (mover,), self.actions(state, seat)

    def result(self, state: Eights) -> Result | None:
        """Who has no card left; or, when nobody can go on, the lowest hand."""
        if not self._is_over(state):
            return None
        worth = [sum(_WORTH.get(card[0]) or int(card[0]) for card in hand) for hand in state.hands]
        best = min(worth)
        reason = "no cards left" if best == 0 else "nobody can play: the lowest hand"
        winners = worth.count(best)
        return Result(tuple((WIN if winners == 1 else 1) if own == best else LOSS for own in worth), reason)

    def flag(self, state: Eights, seat: int) -> Result:
        """Who runs out of time loses to all others."""
        return Result(tuple(LOSS if at == seat else WIN for at in range(len(state.hands))), "time")


def _with(hands: tuple[tuple[str, ...], ...], seat: int, hand: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return (*hands[:seat], hand, *hands[seat + 1 :])
