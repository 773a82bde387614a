"""What a match is played for: the same terms, worked out by each player and by the referee for itself. Pure.

An offer names a ``Wager``. Once the match has begun its genesis says all that is missing, so that everybody comes to
the same ``StakeTerms``, byte by byte, and nobody has to be believed: settlement holds money only if the players' terms
are equal, and pays only what the referee has signed about these.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import encode_struct
from protocol.frames import Key
from protocol.identity import SigningKey
from protocol.rules.clocks import System
from protocol.stakes import Player, StakeResult, StakeTerms, sign_result, stake_hash
from protocol.transcript import Genesis

_SLOW: Final = (System.NONE, System.CORRESPONDENCE)


class Wager(msgspec.Struct, frozen=True, array_like=True):
    """What each player puts in, in minor units, and the settlement worker that holds it."""

    worker: Key
    ledger: Annotated[str, Meta(min_length=1, max_length=L.LEDGER_NAME_CHARS_MAX)]
    exponent: Annotated[int, Meta(ge=0, le=18)]
    amount: Annotated[int, Meta(ge=1, le=L.INT_MAX // L.STAKE_PLAYERS_MAX)]


def terms_of(wager: Wager, genesis: Genesis) -> bytes:
    """The ``StakeTerms`` of a match that has begun, encoded."""
    life_ms = L.GAME_SLOW_STAKE_MS if genesis.clock.system in _SLOW else L.GAME_STAKE_MS
    players = tuple(Player(seat.account, wager.amount) for seat in genesis.seats)
    terms = StakeTerms(
        wager.worker, genesis.referee, genesis.match, wager.ledger, wager.exponent, players, L.GAME_STAKE_WINDOW_MS,
        genesis.started_ms + life_ms,
    )  # fmt: skip
    return encode_struct(terms)


def payout(amount: int, points: tuple[int, ...]) -> tuple[int, ...]:
    """What each seat gets if each has put ``amount`` in: its part of all points; empty: everybody their own.

    What cannot be divided goes to those with points, one minor unit each from the first seat on.
    """
    whole, total = amount * len(points), sum(points)
    if not total:
        return ()
    shares = [whole * part // total for part in points]
    for seat in [seat for seat, part in enumerate(points) if part][: whole - sum(shares)]:
        shares[seat] += 1
    return tuple(shares)


def award(wager: Wager, genesis: Genesis, points: tuple[int, ...], referee: SigningKey) -> bytes:
    """What the referee signs when the match is over; no points: it was aborted, and everybody gets their own back."""
    hash_ = stake_hash(terms_of(wager, genesis))
    return sign_result(StakeResult(hash_, genesis.match, 0, payout(wager.amount, points)), referee)
