"""Names and exponents of ledgers: currencies of ISO 4217, and the operator's own credits."""

from __future__ import annotations

import re
from typing import Final

import iso4217

from protocol.limits import LEDGER_NAME_CHARS_MAX

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_CREDITS: Final = re.compile(rf"[a-z][a-z0-9-]{{1,{LEDGER_NAME_CHARS_MAX - 1}}}")
_MINOR_UNITS: Final = {currency.code: currency.exponent for currency in iso4217.Currency}


def is_currency(name: str) -> bool:
    """Whether the name has the form of a currency code."""
    return _CURRENCY.fullmatch(name) is not None


def is_ledger_name(name: str) -> bool:
    """Whether a ledger may have this name: ``EUR``, or ``chappe-points`` for credits of the operator's own."""
    return is_currency(name) or _CREDITS.fullmatch(name) is not None


def exponent_of(currency: str) -> int | None:
    """Digits after the point of a currency's minor unit; None: unknown, or it has none (gold, test codes)."""
    return _MINOR_UNITS.get(currency)
