"""Names and exponents of ledgers."""

from __future__ import annotations

import pytest

from extensions.settlement.currencies import exponent_of, is_currency, is_ledger_name
from protocol.limits import LEDGER_NAME_CHARS_MAX


@pytest.mark.parametrize(("currency", "exponent"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_exponents_of_iso_4217(currency: str, exponent: int) -> None:
    assert exponent_of(currency) == exponent


@pytest.mark.parametrize("currency", ["XAU", "XXX", "QQQ", "eur", ""])
def test_what_has_no_minor_unit_has_no_exponent(currency: str) -> None:
    assert exponent_of(currency) is None


def test_names() -> None:
    assert is_currency("EUR")
    assert not is_currency("EURO")
    assert is_ledger_name("chappe-points")
    assert is_ledger_name("a" * LEDGER_NAME_CHARS_MAX)
    for bad in ("a" * (LEDGER_NAME_CHARS_MAX + 1), "a", "-a", "Points", "EU", "", "po ints", "EUR\n"):
        assert not is_ledger_name(bad)
