"""Stakes: terms that players can agree on, and what a referee may sign about them."""

from __future__ import annotations

from typing import Any

import pytest

from protocol import limits as L
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.packets import pot_of
from protocol.payments import Authorization, PayCode, PayError
from protocol.stakes import (
    Player,
    StakeResult,
    StakeTerms,
    check_stake,
    open_result,
    read_stake,
    sign_result,
    stake_hash,
)

REFEREE = SigningKey(b"R" * 32)
A, B = b"a" * 32, b"b" * 32
GOOD: dict[str, Any] = {
    "worker": b"w" * 32, "referee": REFEREE.public, "match": b"m" * 16, "ledger": "EUR", "exponent": 2,
    "players": (Player(A, 100), Player(B, 200)), "window_ms": 10, "expires_ms": 1000,
}  # fmt: skip


def terms(**changed: Any) -> StakeTerms:
    return StakeTerms(**{**GOOD, **changed})


def refusal(made: StakeTerms, now_ms: int = 0, **changed: Any) -> PayCode:
    hash_ = stake_hash(encode_struct(made))
    values: dict[str, Any] = {
        "worker": b"w" * 32, "payer": A, "payee": pot_of(hash_), "ledger": "EUR", "exponent": 2, "amount": 100,
        "id": b"i" * 16, "not_before_ms": 0, "expires_ms": 9, "request": hash_, **changed,
    }  # fmt: skip
    try:
        check_stake(made, hash_, pot_of(hash_), Authorization(**values), now_ms)
    except PayError as error:
        return error.code
    return PayCode.OK


def test_a_stake_is_what_was_agreed_on() -> None:
    assert refusal(terms()) is PayCode.OK
    assert refusal(terms(), payer=B, amount=200) is PayCode.OK
    for changed in ({"amount": 99}, {"payer": b"c" * 32}, {"payee": B}, {"original": b"o" * 48}, {"ledger": "CHF"}):
        assert refusal(terms(), **changed) is PayCode.STAKE_MISMATCH
    with pytest.raises(PayError):
        read_stake(b"rubbish")
    assert read_stake(encode_struct(terms())) == terms()


@pytest.mark.parametrize(
    "changed",
    [
        {"players": (Player(A, 100),)}, {"players": (Player(A, 100), Player(A, 100))},
        {"players": (Player(A, 100), Player(B, 0))}, {"players": (Player(A, 100), Player(B, L.INT_MAX))},
        {"window_ms": -1}, {"window_ms": L.STAKE_WINDOW_MS_MAX + 1}, {"expires_ms": 10},
        {"expires_ms": L.STAKE_MS_MAX + 1},
    ],
)  # fmt: skip
def test_terms_that_nobody_can_play_for(changed: dict[str, Any]) -> None:
    assert refusal(terms(**changed)) is PayCode.STAKE_TERMS_INVALID


def outcome(signed: bytes, made: StakeTerms) -> PayCode | StakeResult:
    try:
        return open_result(signed, made, stake_hash(encode_struct(made)))
    except PayError as error:
        return error.code


def test_only_the_referee_of_the_match_decides() -> None:
    made = terms()
    hash_ = stake_hash(encode_struct(made))
    good = StakeResult(hash_, b"m" * 16, 0, (300, 0))
    assert outcome(sign_result(good, REFEREE), made) == good
    off = StakeResult(hash_, b"m" * 16, 1)
    assert outcome(sign_result(off, REFEREE), made) == off
    assert outcome(sign_result(good, SigningKey(b"x" * 32)), made) is PayCode.RESULT_BAD
    assert outcome(sign_result(StakeResult(b"h" * 32, b"m" * 16, 0), REFEREE), made) is PayCode.RESULT_BAD
    assert outcome(sign_result(StakeResult(hash_, b"n" * 16, 0), REFEREE), made) is PayCode.RESULT_BAD
    assert outcome(b"rubbish", made) is PayCode.RESULT_BAD
    for payout in ((300,), (300, 1), (301, -1), (0, 0)):
        wrong = sign_result(StakeResult(hash_, b"m" * 16, 0, payout), REFEREE)
        assert outcome(wrong, made) is PayCode.PAYOUT_WRONG
