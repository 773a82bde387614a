"""Messages of red packets and bills."""

from __future__ import annotations

import pytest

from protocol.messages import packet as K
from protocol.payments import PayCode, PayError
from protocol.shares import ShareError
from tests.protocol.messages.family import check_family


def test_the_family() -> None:
    check_family(K, "pay", {"fund", "packet", "claim", "shares", "split"})


def split(*parts: K.Part, amount: int = 100) -> K.Split:
    return K.Split(payee=b"p" * 32, ledger="EUR", exponent=2, amount=amount, parts=parts)


def test_a_bill_is_checked_by_whoever_gets_it() -> None:
    one, two = b"1" * 32, b"2" * 32
    K.check_split(split(K.Part(one, 1, 33), K.Part(two, 2, 67)))
    for bad in (split(K.Part(one, 1, 34), K.Part(two, 2, 66)), split(K.Part(one, 1, 50), K.Part(one, 1, 50))):
        with pytest.raises(PayError) as caught:
            K.check_split(bad)
        assert caught.value.code is PayCode.SPLIT_WRONG
    with pytest.raises(ShareError):
        K.check_split(split(K.Part(one, 0, 100)))
