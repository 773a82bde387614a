"""What may follow what."""

from __future__ import annotations

from clients.wallet.records import Payment, Request, may_follow
from protocol.messages.pay import State as S


def test_states() -> None:
    assert may_follow(S.UNKNOWN, S.HELD)
    assert may_follow(S.PENDING, S.FAILED)
    assert not may_follow(S.UNKNOWN, S.UNKNOWN)
    assert may_follow(S.HELD, S.EXPIRED)
    assert not may_follow(S.HELD, S.PENDING)
    assert may_follow(S.SETTLED, S.REVERSED)
    assert not may_follow(S.SETTLED, S.FAILED)
    assert not may_follow(S.FAILED, S.SETTLED)


def test_reprs_keep_secrets() -> None:
    payment = Payment(b"i" * 48, b"w", b"p", b"q", "EUR", 2, 5, 1, memo="secret")
    assert payment.id == b"i" * 16
    assert "secret" not in repr(payment)
    assert "secret" not in repr(Request(b"h" * 32, b"i", b"t", b"p", b"secret", 1))
