"""Amounts: integers in minor units, and how people write them. No floats anywhere.

A *ledger* is a currency of ISO 4217 (three capitals) or an operator's own credits (small letters, digits, hyphens); its
*exponent* says how many digits of an amount stand behind the point. Whoever names an amount names both.
"""

from __future__ import annotations

import re
from typing import Final

from protocol import limits as L
from protocol.errors import ChappeError

_LEDGER: Final = re.compile(rf"[A-Z]{{3}}|[a-z][a-z0-9-]{{1,{L.LEDGER_NAME_CHARS_MAX - 1}}}")
_AMOUNT: Final = re.compile(r"([0-9]{1,16})(?:[.]([0-9]{1,8}))?", re.ASCII)


class MoneyError(ChappeError):
    """What somebody typed is no amount; the text says why."""


def is_ledger_name(name: object) -> bool:
    """Whether a ledger may have this name: ``EUR``, or ``chappe-points`` for credits of the operator's own."""
    return isinstance(name, str) and _LEDGER.fullmatch(name) is not None


def parse_amount(text: str, exponent: int) -> int:
    """``12.5`` with exponent 2 is 1250. Raises ``MoneyError``; zero is none, and no digit is ever rounded away."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise MoneyError(f"{text!r} is no amount; write it like 12 or 12.50, without signs or separators")
    digits = found.group(2) or ""
    if len(digits) > exponent:
        raise MoneyError(f"{text!r} has {len(digits)} digits behind the point; this currency has {exponent}")
    amount = int(found.group(1) + digits.ljust(exponent, "0"))
    if not 0 < amount <= L.INT_MAX:
        raise MoneyError(f"{text!r} is zero, or more than a ledger can count")
    return amount


def format_amount(amount: int, exponent: int, ledger: str = "") -> str:
    """1250 with exponent 2 is ``12.50``; with a ledger's name ``12.50 EUR``."""
    sign, digits = "-" * (amount < 0), str(abs(amount)).rjust(exponent + 1, "0")
    whole = digits if not exponent else f"{digits[:-exponent]}.{digits[-exponent:]}"
    return f"{sign}{whole} {ledger}".rstrip()
