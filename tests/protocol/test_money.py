"""Amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.limits import INT_MAX
from protocol.money import MoneyError, format_amount, is_ledger_name, parse_amount


@pytest.mark.parametrize(
    ("text", "exponent", "amount"),
    [("12", 2, 1200), ("12.5", 2, 1250), ("0.01", 2, 1), ("7", 0, 7), ("1.234", 3, 1234)],
)
def test_amounts(text: str, exponent: int, amount: int) -> None:
    assert parse_amount(text, exponent) == amount


@pytest.mark.parametrize("text", ["", "0", "0.00", "-1", "+1", "1,5", "1e3", "1.005", "٣", "9" * 16, " 1"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_amount(text, 2)


@given(st.integers(1, INT_MAX), st.integers(0, 8))
def test_there_and_back(amount: int, exponent: int) -> None:
    if amount < 10 ** (16 + exponent):
        assert parse_amount(format_amount(amount, exponent), exponent) == amount


def test_shown() -> None:
    assert format_amount(-5, 2, "EUR") == "-0.05 EUR"
    assert format_amount(5, 0) == "5"


@pytest.mark.parametrize(
    ("name", "good"), [("EUR", True), ("points", True), ("eur!", False), ("EURO", False), (7, False)]
)
def test_names_of_ledgers(name: object, good: bool) -> None:
    assert is_ledger_name(name) is good
