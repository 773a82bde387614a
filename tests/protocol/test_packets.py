"""Red packets: what is signed, what is committed to, and what anybody recomputes."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.codec import encode_struct
from protocol.packets import (
    Claimed,
    PacketError,
    Terms,
    check_funding,
    commitment_of,
    pot_of,
    read_terms,
    recompute,
    shares_of,
    terms_hash,
)
from protocol.payments import Authorization, PayCode, PayError
from protocol.shares import at_random

SEED = b"s" * 32
MEMBERS = tuple(bytes([n]) * 32 for n in range(1, 6))
GOOD = Terms(b"w" * 32, b"p" * 32, "EUR", 2, 1000, 5, 9, commitment_of(SEED), b"n" * 16, MEMBERS)


def terms(**changed: Any) -> Terms:
    return Terms(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | changed)


def signed(made: Terms, **changed: Any) -> Authorization:
    hash_ = terms_hash(encode_struct(made))
    values: dict[str, Any] = {
        "worker": made.worker, "payer": made.payer, "payee": pot_of(hash_), "ledger": made.ledger,
        "exponent": made.exponent, "amount": made.amount, "id": b"i" * 16, "not_before_ms": 0, "expires_ms": 9,
        "request": hash_,
    }  # fmt: skip
    return Authorization(**values | changed)


def code_of(made: Terms, seed: bytes = SEED, **changed: Any) -> PayCode:
    with pytest.raises(PayError) as caught:
        check_funding(made, terms_hash(encode_struct(made)), seed, signed(made, **changed))
    return caught.value.code


def test_what_is_funded_is_what_was_signed() -> None:
    assert check_funding(GOOD, terms_hash(encode_struct(GOOD)), SEED, signed(GOOD)) == at_random(1000, 5, SEED)
    assert code_of(GOOD, amount=999) is PayCode.PACKET_MISMATCH
    assert code_of(GOOD, payee=b"x" * 32) is PayCode.PACKET_MISMATCH
    assert code_of(GOOD, original=b"o" * 48) is PayCode.PACKET_MISMATCH
    assert code_of(terms(members=())) is PayCode.PACKET_MISMATCH
    assert code_of(terms(members=(b"m" * 32,) * 2)) is PayCode.PACKET_MISMATCH


def test_shares_that_cannot_be() -> None:
    assert code_of(terms(shares=0)) is PayCode.SHARES_INVALID
    assert code_of(terms(shares=101)) is PayCode.SHARES_INVALID
    assert code_of(terms(amount=4)) is PayCode.SHARES_TOO_MANY
    assert code_of(GOOD, b"t" * 32) is PayCode.SEED_WRONG
    assert code_of(GOOD, b"") is PayCode.SEED_WRONG
    assert code_of(terms(commitment=b""), SEED) is PayCode.SEED_WRONG
    assert shares_of(terms(commitment=b""), b"") == (200,) * 5


def test_terms_that_cannot_be_read() -> None:
    assert read_terms(encode_struct(GOOD)) == GOOD
    with pytest.raises(PayError) as caught:
        read_terms(b"rubbish")
    assert caught.value.code is PayCode.PACKET_MISMATCH


def test_what_was_claimed_is_recomputed() -> None:
    raw, shares = encode_struct(GOOD), at_random(1000, 5, SEED)
    claimed = [Claimed(member, share, b"o") for member, share in zip(MEMBERS, shares, strict=True)]
    assert recompute(raw, SEED, claimed) == shares
    assert recompute(raw, SEED, claimed[:2]) == shares
    assert recompute(raw, SEED, []) == shares
    wrong = Claimed(MEMBERS[1], shares[1] + 1, b"o")
    for bad in ([claimed[0], wrong], [claimed[0], claimed[0]], [Claimed(b"x" * 32, shares[0], b"o")]):
        with pytest.raises(PacketError):
            recompute(raw, SEED, bad)
    with pytest.raises(PacketError, match="seed says"):
        recompute(raw, SEED, claimed[1:])
    with pytest.raises(PayError):
        recompute(raw, b"t" * 32, claimed)
