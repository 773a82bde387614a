"""Matches with stakes, and referees true and false."""

from __future__ import annotations

from functools import partial

from clients.client import Client
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.messages import stake as S
from protocol.messages.pay import State
from protocol.packets import pot_of
from protocol.stakes import Player, StakeResult, StakeTerms, read_stake, sign_result, stake_hash
from tests.support.money import ask, fields, sign
from tests.support.proof import check
from tests.support.settlement import Bank
from tests.support.workers import until

REFEREE = SigningKey(b"R" * 32)
HOUR_MS = 3_600_000


def terms(bank: Bank, *players: Client, stakes: tuple[int, ...] = (100, 200), **changed: object) -> bytes:
    """The terms of a match, some of them changed."""
    now_ms = bank.stage.clock_ms()
    values = {
        "worker": bank.account, "referee": REFEREE.public, "match": players[0].engine.shelf.new_id(), "ledger": "EUR",
        "exponent": 2, "players": tuple(Player(p.account, n) for p, n in zip(players, stakes, strict=True)),
        "window_ms": HOUR_MS, "expires_ms": now_ms + 12 * HOUR_MS, **changed,
    }  # fmt: skip
    return encode_struct(StakeTerms(**values))  # type: ignore[arg-type]


def result(raw: bytes, *payout: int, revision: int = 0, key: SigningKey = REFEREE, **changed: object) -> bytes:
    """What the referee signs; ``match`` and ``terms`` may be others."""
    about = {"terms": stake_hash(raw), "match": read_stake(raw).match}
    values = {**about, "revision": revision, "payout": payout, **changed}
    return sign_result(StakeResult(**values), key)  # type: ignore[arg-type]


async def put(client: Client, raw: bytes, amount: int, **changed: object) -> tuple[State, int]:
    """A player's stake, as a broken client might send it."""
    hash_ = stake_hash(raw)
    values = fields(client, pot_of(hash_), amount, **{"request": hash_, **changed})
    return await ask(client, S.Stake(signed=sign(values, client.engine.shelf.device), terms=raw))


async def say(client: Client, raw: bytes, signed: bytes) -> tuple[State, int]:
    """Show a result; the answer to whoever showed it."""
    return await ask(client, S.Result(stake=stake_hash(raw), id=client.engine.shelf.new_id(), signed=signed))


async def both_put(raw: bytes, *players: Client) -> None:
    """All stakes are in, and held."""
    for player in players:
        await player.wallet.stake(raw, timeout_s=0)
    for player in players:
        await until(partial(stands, player, raw, State.HELD), "the stake")


def stands(player: Client, raw: bytes, state: State) -> bool:
    """Whether the stake of a player is known to be in a state."""
    hash_ = stake_hash(raw)
    mine = [p for p in player.wallet.payments if p.request == hash_ and p.payer == player.account]
    return bool(mine) and mine[-1].state == state


async def match_is_paid(bank: Bank, one: Client, other: Client) -> bytes:
    """A match, a result, a correction, and the money; the terms."""
    raw = terms(bank, one, other)
    await both_put(raw, one, other)
    check(await say(one, raw, result(raw, 300, 0)) == (State.PENDING, 0), "a result")
    check(await say(one, raw, result(raw, 300, 0)) == (State.PENDING, 0), "the same result again")
    check(await say(other, raw, result(raw, 50, 250, revision=1)) == (State.PENDING, 0), "a correction")
    bank.stage.ahead_ms += HOUR_MS + 1
    for player in (one, other):
        await until(partial(stands, player, raw, State.SETTLED), "the payout")
    return raw
