"""Messages of payments."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.errors import RemoteProtocolError
from protocol.messages import Unknown, parse
from protocol.messages import pay as P
from protocol.payments import PayError
from tests.protocol.messages.family import check_family
from tests.protocol.messages.family import content as pack

REQUEST: dict[str, Any] = {
    "payee": b"p" * 32, "worker": b"w" * 32, "ledger": "EUR", "exponent": 2, "expires_ms": 9, "amount": 100
}  # fmt: skip


def test_the_family() -> None:
    names = {"request", "decline", "cancel", "authorize", "refund", "status", "receipt", "open", "query", "balance"}
    check_family(P, "pay", names | {"history", "proof"})


def request(**changed: Any) -> P.Request:
    return P.Request(**{**REQUEST, **changed})


@pytest.mark.parametrize("amount", [True, 1.0, "1", -1, 2**53, 2**63, None])
def test_amounts_are_integers(amount: object) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(pack("pay.request", {**REQUEST, "amount": amount}))


@pytest.mark.parametrize("ledger", ["eur!", "EURO", "E", "EUR\n"])
def test_ledgers_have_names(ledger: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(pack("pay.request", {**REQUEST, "ledger": ledger}))


def test_a_newer_version_is_never_acted_on() -> None:
    data = msgspec.msgpack.encode({"t": "pay.authorize", "v": 2, "b": {"signed": b"x"}})
    body = parse(data).body
    assert isinstance(body, Unknown)
    assert body.must_answer


@pytest.mark.parametrize(
    "changed",
    [
        {"payer": b"p" * 32}, {"payer": b"short"}, {"least": 5, "most": 4}, {"most": 101}, {"least": 101},
        {"items": (P.Item("a", 40), P.Item("b", 50))},
    ],
)  # fmt: skip
def test_requests_that_make_no_sense(changed: dict[str, Any]) -> None:
    with pytest.raises(PayError):
        P.check_request(request(**changed))


def test_what_a_request_allows() -> None:
    P.check_request(request(items=(P.Item("a", 40), P.Item("b", 60))))
    assert [P.allows(request(), amount) for amount in (99, 100, 101)] == [False, True, False]
    assert [P.allows(request(amount=0), amount) for amount in (0, 1, 10**9)] == [False, True, True]
    assert [P.allows(request(least=50), amount) for amount in (49, 50, 100, 101)] == [False, True, True, False]
    assert [P.allows(request(amount=0, most=5), amount) for amount in (0, 5, 6)] == [False, True, False]
