"""Stakes of a match: money of several players, held until a referee has signed who gets what. Pure.

This is the seam between games and money. A referee needs nothing of payments but ``sign_result``; settlement needs
nothing of games but a key, the id of a match, and a payout:

1. The players agree on ``StakeTerms``: the referee's key, the match, who puts in how much, how long the referee may
   still correct itself, and until when the money is held at most.
2. Each signs an authorization to the pot of the terms' hash. When all have, all their money is held, or none.
3. The referee signs a ``StakeResult``: the payout in the order of the players, summing to what they put in; or nothing,
   which calls the match off. For ``window_ms`` a result of a higher ``revision`` replaces it: that is the time in which
   players may complain to the referee. Two different results of one revision convict the referee, and everybody gets
   their own money back. Then it is paid. Without a result the money is back when the terms expire.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.frames import Key, Signature
from protocol.identity import SigningKey, verify
from protocol.ids import tagged_hash
from protocol.payments import Authorization, PayCode, PayError

_DOMAIN: Final = b"chappe/v1/stake-result\x00"


class Player(msgspec.Struct, frozen=True, array_like=True):
    """Who puts in how much, in minor units."""

    account: Key
    amount: int


class StakeTerms(msgspec.Struct, frozen=True, array_like=True):
    """What the players agree on. Times in Unix ms."""

    worker: Key
    referee: Key
    match: Annotated[bytes, Meta(min_length=1, max_length=L.KEY_BYTES)]
    ledger: Annotated[str, Meta(max_length=L.LEDGER_NAME_CHARS_MAX)]
    exponent: int
    players: Annotated[tuple[Player, ...], Meta(max_length=L.STAKE_PLAYERS_MAX)]
    window_ms: int
    expires_ms: int


class StakeResult(msgspec.Struct, frozen=True, array_like=True):
    """What a referee says about a match. ``payout``: minor units by player, in their order; empty: called off."""

    terms: Key
    match: Annotated[bytes, Meta(min_length=1, max_length=L.KEY_BYTES)]
    revision: Annotated[int, Meta(ge=0, le=L.INT_MAX)]
    payout: Annotated[tuple[int, ...], Meta(max_length=L.STAKE_PLAYERS_MAX)] = ()


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    signature: Signature


def stake_hash(terms: bytes) -> bytes:
    """What names the terms: over their bytes as they came. The pot is ``packets.pot_of`` this."""
    return tagged_hash("pay/stake", (terms,))


def read_stake(data: bytes) -> StakeTerms:
    """Raises ``PayError``."""
    try:
        return decode_struct(data, StakeTerms)
    except RemoteProtocolError:
        raise PayError(PayCode.STAKE_MISMATCH) from None


def check_stake(terms: StakeTerms, hash_: bytes, pot: bytes, a: Authorization, now_ms: int) -> None:
    """Whether an authorization is a player's stake under these terms. Raises ``PayError``."""
    amounts = {player.account: player.amount for player in terms.players}
    named = (terms.worker, pot, hash_, terms.ledger, terms.exponent, amounts.get(a.payer))
    if named != (a.worker, a.payee, a.request, a.ledger, a.exponent, a.amount) or a.original:
        raise PayError(PayCode.STAKE_MISMATCH)
    is_fit = 2 <= len(terms.players) == len(amounts) and min(amounts.values()) > 0
    is_timely = 0 <= terms.window_ms <= L.STAKE_WINDOW_MS_MAX and (
        now_ms + terms.window_ms < terms.expires_ms <= now_ms + L.STAKE_MS_MAX
    )
    if not is_fit or not is_timely or sum(amounts.values()) > L.INT_MAX:
        raise PayError(PayCode.STAKE_TERMS_INVALID)


def sign_result(result: StakeResult, referee: SigningKey) -> bytes:
    """The bytes that settlement is shown."""
    body = encode_struct(result)
    return encode_struct(_Signed(body, referee.sign(_DOMAIN, body)))


def open_result(data: bytes, terms: StakeTerms, hash_: bytes) -> StakeResult:
    """What the referee of these terms has signed about them. Raises ``PayError``."""
    try:
        signed = decode_struct(data, _Signed)
        result = decode_struct(signed.body, StakeResult)
    except RemoteProtocolError:
        raise PayError(PayCode.RESULT_BAD) from None
    if not verify(terms.referee, _DOMAIN, signed.body, signed.signature):
        raise PayError(PayCode.RESULT_BAD)
    if (result.terms, result.match) != (hash_, terms.match):
        raise PayError(PayCode.RESULT_BAD)
    whole = sum(player.amount for player in terms.players)
    if result.payout and (
        len(result.payout) != len(terms.players) or min(result.payout) < 0 or sum(result.payout) != whole
    ):
        raise PayError(PayCode.PAYOUT_WRONG)
    return result
