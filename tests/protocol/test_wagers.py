"""Stakes of a match: everybody comes to the same terms, and nothing is lost in dividing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits as L
from protocol.identity import SigningKey
from protocol.rules.clocks import Spec, parse_spec
from protocol.stakes import open_result, read_stake, stake_hash
from protocol.transcript import VERSION, Genesis, Seat
from protocol.wagers import Wager, award, payout, terms_of

REFEREE = SigningKey(b"R" * 32)
WAGER = Wager(b"w" * 32, "EUR", 2, 500)


def _genesis(clock: str = "300+3", started_ms: int = 1_000_000) -> Genesis:
    spec: Spec = parse_spec(clock)
    seats = (Seat(b"a" * 32, (b"1" * 32,)), Seat(b"b" * 32, (b"2" * 32,)))
    return Genesis(
        VERSION, b"m" * 32, "chess", 1, (), seats, spec, REFEREE.public, b"c" * 32, (b"x" * 32, b"y" * 32), started_ms
    )  # fmt: skip


@pytest.mark.parametrize(("clock", "life_ms"), [("300+3", L.GAME_STAKE_MS), ("3d", L.GAME_SLOW_STAKE_MS)])
def test_terms_follow_from_the_genesis(clock: str, life_ms: int) -> None:
    terms = read_stake(terms_of(WAGER, _genesis(clock)))
    assert (terms.worker, terms.referee, terms.match) == (WAGER.worker, REFEREE.public, b"m" * 32)
    assert [(player.account, player.amount) for player in terms.players] == [(b"a" * 32, 500), (b"b" * 32, 500)]
    assert (terms.window_ms, terms.expires_ms) == (L.GAME_STAKE_WINDOW_MS, 1_000_000 + life_ms)
    assert life_ms < L.STAKE_MS_MAX
    assert terms_of(WAGER, _genesis(clock)) != terms_of(msgspec.structs.replace(WAGER, amount=501), _genesis(clock))


@pytest.mark.parametrize(
    ("points", "wanted"),
    [((2, 0), (1000, 0)), ((1, 1), (500, 500)), ((), ()), ((0, 0), ()), ((2, 2, 0), (750, 750, 0))],
)
def test_payouts(points: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert payout(500, points) == wanted


@given(st.integers(1, 10**12), st.lists(st.integers(0, 2), min_size=2, max_size=L.STAKE_PLAYERS_MAX))
def test_nothing_is_lost_in_dividing(amount: int, points: list[int]) -> None:
    shares = payout(amount, tuple(points))
    assert sum(shares) == (amount * len(points) if any(points) else 0)
    assert all(share == 0 for share, part in zip(shares, points, strict=False) if not part)


@pytest.mark.parametrize("points", [(2, 0), (1, 1), ()])
def test_an_award_is_what_settlement_accepts(points: tuple[int, ...]) -> None:
    raw = terms_of(WAGER, _genesis())
    signed = award(WAGER, _genesis(), points, REFEREE)
    assert len(signed) <= L.GAME_AWARD_BYTES_MAX
    result = open_result(signed, read_stake(raw), stake_hash(raw))
    assert (result.revision, result.payout) == (0, payout(500, points))
