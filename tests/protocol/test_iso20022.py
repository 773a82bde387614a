"""ISO 20022: against the published schemas, to the minor unit, and whatever people write in a memo."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.iso20022 import (
    CAMT_053,
    PAIN_013,
    PAIN_014,
    Asked,
    Line,
    NotExpressible,
    answer,
    day_of,
    request_to_pay,
    statement,
    time_of,
)
from protocol.limits import INT_MAX
from protocol.messages.pay import Item, Request
from tests.support.vectors import vector_path

ME, OTHER, WORKER = b"m" * 32, b"o" * 32, b"w" * 32
NOW = 1_764_000_000_000
SPACES = {name: f"{{urn:iso:std:iso:20022:tech:xsd:{name}}}" for name in (CAMT_053, PAIN_013, PAIN_014)}


@cache
def schema(message: str) -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(vector_path(f"iso20022/{message}.xsd")))


def valid(data: bytes, message: str) -> Xml.Element:
    """The document, which the published schema accepts."""
    schema(message).validate(data.decode())
    return Xml.fromstring(data)


def said(document: Xml.Element, message: str, path: str) -> list[str]:
    steps = "/".join(SPACES[message] + name for name in path.split("/"))
    return [element.text or "" for element in document.findall(f".//{steps}")]


def lines(*amounts: int, kind: str = "transfer") -> list[Line]:
    return [Line(n + 1, NOW - 1000 + n, kind, amount, OTHER, b"i" * 48) for n, amount in enumerate(amounts)]


def stated(*amounts: int, opening: int = 0, **changed: Any) -> bytes:
    values: dict[str, Any] = {"id_": "1", "since_ms": 0, "now_ms": NOW, **changed}
    return statement(ME, "EUR", 2, opening, lines(*amounts), **values)


def test_times_are_those_of_the_calendar() -> None:
    for at_ms in (0, 68_169_600_000, 951_782_400_000, 951_868_800_000, 1_709_164_799_999, NOW, 4_102_444_800_000):
        moment = datetime.fromtimestamp(at_ms // 1000, UTC)
        assert day_of(at_ms) == moment.strftime("%Y-%m-%d")
        assert time_of(at_ms) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@settings(max_examples=50)
@given(st.integers(0, 253_402_300_799_000))
def test_any_time_is(at_ms: int) -> None:
    assert time_of(at_ms) == datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


def test_a_statement_is_valid_and_sums() -> None:
    made = valid(stated(1250, -250, 0, 7, opening=100), CAMT_053)
    assert said(made, CAMT_053, "Bal/Amt") == ["1.00", "11.07"]
    assert said(made, CAMT_053, "Ntry/Amt") == ["12.50", "2.50", "0.07"]
    assert said(made, CAMT_053, "Ntry/CdtDbtInd") == ["CRDT", "DBIT", "CRDT"]
    assert said(made, CAMT_053, "Fmly/Cd") == ["RCDT", "ICDT", "RCDT"]
    assert said(made, CAMT_053, "Acct/Ownr/Nm") == [ME.hex()]
    assert said(made, CAMT_053, "AddtlNtryInf")[0].endswith((b"i" * 48).hex())


def test_statements_of_nothing_of_a_rail_and_of_very_much() -> None:
    empty = valid(stated(since_ms=NOW - 1), CAMT_053)
    assert said(empty, CAMT_053, "Bal/Amt") == ["0.00", "0.00"]
    issued = lines(-INT_MAX + 5, kind="issue")
    rail = valid(statement(ME, "JPY", 0, -5, issued, id_="x" * 99, since_ms=0, now_ms=NOW), CAMT_053)
    assert said(rail, CAMT_053, "Bal/CdtDbtInd") == ["DBIT", "DBIT"]
    assert said(rail, CAMT_053, "Bal/Amt")[1] == str(INT_MAX)
    assert said(rail, CAMT_053, "SubFmlyCd") == ["CDPT"]
    odd = statement(ME, "BHD", 3, 1, [Line(1, 1, "expiry", 1, OTHER, b"")], id_="1", since_ms=0, now_ms=1)
    assert said(valid(odd, CAMT_053), CAMT_053, "EndToEndId") == ["NOTPROVIDED"]


@pytest.mark.parametrize("ledger", ["points", "eur"])
def test_credits_have_no_place(ledger: str) -> None:
    with pytest.raises(NotExpressible):
        statement(ME, ledger, 2, 0, [], id_="1", since_ms=0, now_ms=1)


def asked(**changed: Any) -> Asked:
    values: dict[str, Any] = {
        "payee": ME, "worker": WORKER, "ledger": "EUR", "exponent": 2, "expires_ms": NOW + 1, "amount": 1250, **changed
    }  # fmt: skip
    return Asked(b"i" * 16, b"h" * 32, NOW, Request(**values))


def test_a_request_to_pay_is_valid() -> None:
    made = valid(request_to_pay(asked(payer=OTHER, memo="lunch", due_ms=NOW, items=(Item("tea", 1250),))), PAIN_013)
    assert said(made, PAIN_013, "InstdAmt") == ["12.50"]
    assert said(made, PAIN_013, "CtrlSum") == ["12.50"]
    assert said(made, PAIN_013, "Ustrd") == ["lunch", "12.50 EUR tea"]
    assert said(made, PAIN_013, "Dbtr/Nm") == [OTHER.hex()]
    assert said(made, PAIN_013, "AmtModAllwd") == ["false"]
    anybody = valid(request_to_pay(asked(least=5)), PAIN_013)
    assert said(anybody, PAIN_013, "Dbtr/Nm") == ["NOTPROVIDED"]
    assert said(anybody, PAIN_013, "AmtModAllwd") == ["true"]
    for bad in ({"amount": 0}, {"ledger": "points"}):
        with pytest.raises(NotExpressible):
            request_to_pay(asked(**bad))


@settings(max_examples=30)
@given(st.text(max_size=140))
def test_any_memo_leaves_it_valid(memo: str) -> None:
    valid(request_to_pay(asked(memo=memo)), PAIN_013)
    valid(answer(asked(), "declined", id_="1", now_ms=NOW, why=memo), PAIN_014)


@pytest.mark.parametrize(
    ("state", "status"), [("open", "PDNG"), ("paid", "ACSC"), ("declined", "RJCT"), ("cancelled", "CANC")]
)
def test_an_answer_is_valid(state: str, status: str) -> None:
    made = valid(answer(asked(payer=OTHER), state, id_="2", now_ms=NOW, sequence=7 * (state == "paid")), PAIN_014)
    assert said(made, PAIN_014, "TxSts") == [status]
    assert said(made, PAIN_014, "OrgnlMsgId") == [(b"i" * 16).hex()]
    assert said(made, PAIN_014, "AcctSvcrRef") == (["7"] if state == "paid" else [])
    with pytest.raises(KeyError):
        answer(asked(), "lost", id_="2", now_ms=NOW)
