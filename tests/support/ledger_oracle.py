"""A second, naive ledger, written from `extensions/settlement/DESIGN.md` and not from the engine.

It keeps nothing but a flat list of what was asked and what it answered, and works every balance out anew from that
list, in Decimals. So it is slow: the list of movements is folded into a plain dict of totals only when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

BIG = Decimal(2) ** 53 - 1
YEAR_MS = 366 * 86_400_000
MOVERS = ("Transfer", "Issue", "Redeem", "Pending")
EXPONENTS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass
class Line:
    """What was asked, when, and what came of it."""

    kind: str
    asked: dict[str, Any]
    code: str
    at: Decimal
    number: int
    chain: tuple[bytes, int, int]
    amount: Decimal = Decimal(0)


@dataclass
class Oracle:
    """Ask ``batch`` with the operations as (kind, fields)."""

    lines: list[Line] = field(default_factory=list)
    now: Decimal = Decimal(0)
    # Indexes over `lines`, only so that twenty thousand questions take seconds and not hours.
    ids: dict[bytes, Line] = field(default_factory=dict)
    ledgers: dict[str, int] = field(default_factory=dict)
    accounts: dict[tuple[str, bytes], list[Line]] = field(default_factory=dict)
    waiting: dict[bytes, Line] = field(default_factory=dict)
    finished: dict[bytes, str] = field(default_factory=dict)
    totals: dict[tuple[str, bytes], dict[str, Decimal]] = field(default_factory=dict)

    # -- what the flat list says ---------------------------------------------------------------------------------------
    def status(self, account: tuple[str, bytes]) -> str:
        """open, frozen or closed: what was last said about it."""
        words = [line.kind for line in self.accounts[account] if line.kind in ("Open", "Freeze", "Unfreeze", "Close")]
        return {"Open": "open", "Unfreeze": "open", "Freeze": "frozen", "Close": "closed"}[words[-1]]

    def limits(self, account: tuple[str, bytes]) -> tuple[int, int, int]:
        """(kind, most at once, most held)."""
        lines = [line for line in self.accounts[account] if line.kind in ("Open", "SetLimits")]
        return lines[0].asked["kind"], lines[-1].asked["amount_max"], lines[-1].asked["balance_max"]

    def sums(self, account: tuple[str, bytes]) -> dict[str, Decimal]:
        """The four sums of an account."""
        return self.totals[account]

    # -- batches -------------------------------------------------------------------------------------------------------
    def batch(self, chains: list[list[tuple[str, dict[str, Any]]]], now: int) -> list[list[tuple[str, int, int, str]]]:
        """Answers: (code, number, amount, field) an operation."""
        self.now = max(self.now, Decimal(now))
        late = [line for line in self.waiting.values() if line.asked["expires_ms"] <= self.now]
        for line in sorted(late, key=lambda line: (line.asked["expires_ms"], line.number)):
            self.write(Line("Expire", {"pending": line.asked["id"]}, "OK", self.now, len(self.lines) + 1, (b"", 0, 1)))
        return [self.chain(chain) for chain in chains]

    def chain(self, chain: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, int, int, str]]:
        """All or nothing."""
        size = len(chain)
        label = chain[0][1]["id"] if size > 1 else b""

        def only(place: int, code: str, name: str = "") -> list[tuple[str, int, int, str]]:
            return [(code, 0, 0, name) if n == place else ("LINKED_FAILED", 0, 0, "") for n in range(size)]

        if size > 100:
            return only(0, "CHAIN_TOO_LONG")
        for place, (kind, asked) in enumerate(chain):
            code = self.form(kind, asked)
            if code != "OK":
                return only(place, code)
        names = [asked["id"] for _, asked in chain]
        for place, name in enumerate(names):
            if name in names[:place]:
                return only(place, "ID_TWICE")
        seen = [self.ids.get(name) for name in names]
        if any(seen):
            for place, line in enumerate(seen):
                if line is not None:
                    other = self.differs(line, chain[place], (label, place if size > 1 else 0, size))
                    if other:
                        return only(place, "ID_REUSED", other)
            if None in seen:
                return only(seen.index(None), "CHAIN_CHANGED")
            return [(line.code, line.number, int(line.amount), "") for line in seen if line is not None]
        return self.fresh(chain, label)

    def fresh(self, chain: list[tuple[str, dict[str, Any]]], label: bytes) -> list[tuple[str, int, int, str]]:
        """None of it was seen before: try it line by line, and take all of it back if one fails."""
        size, mark, bad = len(chain), len(self.lines), None
        for place, (kind, asked) in enumerate(chain):
            code = self.judge(kind, asked)
            if code != "OK":
                bad = (place, code)
                break
            self.write(Line(kind, asked, "OK", self.now, len(self.lines) + 1, (label, place, size)))
        if bad is not None:
            while len(self.lines) > mark:
                self.unwrite()
            for place, (kind, asked) in enumerate(chain):
                code = bad[1] if place == bad[0] else "LINKED_FAILED"
                self.write(Line(kind, asked, code, self.now, len(self.lines) + 1, (label, place, size)))
        return [(line.code, line.number, int(line.amount), "") for line in self.lines[mark:]]

    @staticmethod
    def differs(line: Line, operation: tuple[str, dict[str, Any]], place: tuple[bytes, int, int]) -> str:
        """The first difference from a line of the same id."""
        kind, asked = operation
        if kind != line.kind:
            return "kind"
        for name, value in asked.items():
            if line.asked[name] != value:
                return name
        return "" if line.chain == place else "chain"

    # -- writing a line down, and rubbing the last one out -------------------------------------------------------------
    def write(self, line: Line, sign: int = 1) -> None:
        """Append a line and let its money move."""
        if sign > 0:
            self.lines.append(line)
        asked = line.asked
        if line.kind != "Expire":
            self.ids[asked["id"]] = line
        if line.code != "OK":
            return
        if line.kind == "OpenLedger":
            self.ledgers[asked["ledger"]] = asked["exponent"]
        elif line.kind in ("Open", "SetLimits", "Freeze", "Unfreeze", "Close"):
            key = (asked["ledger"], asked["owner"])
            self.accounts.setdefault(key, []).append(line)
            self.totals.setdefault(key, dict.fromkeys(("dw", "dp", "cw", "cp"), Decimal(0)))
        else:
            self.move(line)

    def move(self, line: Line, sign: int = 1) -> None:
        """Let the money of a line move, or move back."""
        asked = line.asked
        if line.kind in MOVERS:
            source, suffix = asked, "w" if line.kind == "Pending" else "p"
            line.amount = Decimal(asked["amount"])
            self.add(source, suffix, sign * line.amount)
            if line.kind == "Pending":
                if sign > 0:
                    self.waiting[asked["id"]] = line
                else:
                    del self.waiting[asked["id"]]
            return
        origin = self.ids[asked["pending"]]
        whole = Decimal(origin.asked["amount"])
        self.add(origin.asked, "w", -sign * whole)
        line.amount = whole
        if line.kind == "Post":
            line.amount = whole if asked["amount"] is None else Decimal(asked["amount"])
            self.add(origin.asked, "p", sign * line.amount)
        if sign > 0:
            del self.waiting[asked["pending"]]
            ending = {"Post": "PENDING_POSTED", "Void": "PENDING_VOIDED", "Expire": "PENDING_EXPIRED"}
            self.finished[asked["pending"]] = ending[line.kind]
        else:
            self.waiting[asked["pending"]] = origin
            del self.finished[asked["pending"]]

    def add(self, sides: dict[str, Any], suffix: str, amount: Decimal) -> None:
        """Change what both sides have waiting (w) or posted (p)."""
        for side in ("debit", "credit"):
            self.totals[sides["ledger"], sides[side]][side[0] + suffix] += amount

    def unwrite(self) -> None:
        """Take the last line back."""
        line = self.lines.pop()
        asked = line.asked
        if line.kind == "OpenLedger":
            del self.ledgers[asked["ledger"]]
        elif line.kind in ("Open", "SetLimits", "Freeze", "Unfreeze", "Close"):
            key = (asked["ledger"], asked["owner"])
            self.accounts[key].pop()
            if not self.accounts[key]:
                del self.accounts[key], self.totals[key]
        else:
            self.move(line, -1)
        del self.ids[asked["id"]]

    # -- rules ---------------------------------------------------------------------------------------------------------
    @staticmethod
    def form(kind: str, asked: dict[str, Any]) -> str:
        """What can be said without the books, in the order of the table."""
        tests: list[tuple[str, bool]] = [
            ("ID_INVALID", any(not 1 <= len(asked[n]) <= 64 for n in ("id", "pending") if n in asked)),
            ("OWNER_INVALID", any(len(asked[name]) != 32 for name in ("owner", "debit", "credit") if name in asked)),
            ("LEDGER_INVALID", "ledger" in asked and not asked["ledger"].isalpha()),
            ("EXPONENT_INVALID", "exponent" in asked and not 0 <= asked["exponent"] <= 8),
        ]
        amount = asked.get("amount", 1)
        if not (kind == "Post" and amount is None):
            tests.append(("AMOUNT_NOT_INTEGER", not _is_int(amount)))
            if _is_int(amount):
                tests += [("AMOUNT_NOT_POSITIVE", amount <= 0), ("AMOUNT_TOO_LARGE", amount > BIG)]
        expiry = asked.get("expires_ms", 1)
        tests += [
            ("EXPIRY_INVALID", not _is_int(expiry) or not 1 <= expiry <= BIG),
            ("KIND_INVALID", asked.get("kind", 0) not in (0, 1)),
            ("LIMIT_INVALID", any(not 0 <= asked.get(name, 0) <= BIG for name in ("amount_max", "balance_max"))),
            ("MEMO_INVALID", len(asked.get("memo", b"")) > 256),
            ("SAME_ACCOUNT", "debit" in asked and asked["debit"] == asked["credit"]),
        ]
        return next((code for code, wrong in tests if wrong), "OK")

    def judge(self, kind: str, asked: dict[str, Any]) -> str:
        """What the books say."""
        if kind in ("Post", "Void"):
            return self.judge_ending(kind, asked)
        ledger = asked["ledger"]
        if kind == "OpenLedger":
            if ledger in self.ledgers:
                return "LEDGER_EXISTS"
            if ledger.isupper() and ledger not in EXPONENTS:
                return "CURRENCY_UNKNOWN"
            return "EXPONENT_WRONG" if EXPONENTS.get(ledger, asked["exponent"]) != asked["exponent"] else "OK"
        if ledger not in self.ledgers:
            return "LEDGER_NOT_FOUND"
        if kind in MOVERS:
            return self.judge_move(kind, asked)
        key = (ledger, asked["owner"])
        if kind == "Open":
            return "ACCOUNT_EXISTS" if key in self.accounts else "OK"
        if key not in self.accounts:
            return "ACCOUNT_NOT_FOUND"
        status, sums = self.status(key), self.sums(key)
        rows = [
            ("ACCOUNT_CLOSED", status == "closed"),
            ("ACCOUNT_FROZEN", kind == "Freeze" and status == "frozen"),
            ("ACCOUNT_NOT_FROZEN", kind == "Unfreeze" and status != "frozen"),
            ("ACCOUNT_HAS_PENDING", kind == "Close" and bool(sums["dw"] or sums["cw"])),
            ("ACCOUNT_NOT_EMPTY", kind == "Close" and sums["dp"] != sums["cp"]),
        ]
        return next((code for code, wrong in rows if wrong), "OK")

    def judge_ending(self, kind: str, asked: dict[str, Any]) -> str:
        """Post and void."""
        name = asked["pending"]
        if name not in self.waiting:
            return self.finished.get(name, "PENDING_NOT_FOUND")
        origin = self.waiting[name].asked
        if kind == "Void":
            return "OK"
        if asked["amount"] is not None and asked["amount"] > origin["amount"]:
            return "POST_EXCEEDS_PENDING"
        for side in ("debit", "credit"):
            if self.status((origin["ledger"], origin[side])) == "frozen":
                return f"{side.upper()}_FROZEN"
        return "OK"

    def judge_move(self, kind: str, asked: dict[str, Any]) -> str:
        """Everything that moves or holds money."""
        ledger, amount = asked["ledger"], Decimal(asked["amount"])
        if asked["exponent"] != self.ledgers[ledger]:
            return "EXPONENT_WRONG"
        if kind == "Pending" and asked["expires_ms"] <= self.now:
            return "EXPIRY_PASSED"
        if kind == "Pending" and asked["expires_ms"] > self.now + YEAR_MS:
            return "EXPIRY_TOO_FAR"
        keys = {side: (ledger, asked[side]) for side in ("debit", "credit")}
        for side in ("debit", "credit"):
            if keys[side] not in self.accounts:
                return f"{side.upper()}_NOT_FOUND"
        (d_kind, most_at_once, _), (c_kind, _, most_held) = (self.limits(keys[side]) for side in ("debit", "credit"))
        status = {side: self.status(keys[side]) for side in keys}
        rails = (d_kind, c_kind)
        d, c = self.sums(keys["debit"]), self.sums(keys["credit"])
        spent, got = d["dw"] + d["dp"] + amount, c["cw"] + c["cp"] + amount
        rows = [
            ("DEBIT_CLOSED", status["debit"] == "closed"),
            ("CREDIT_CLOSED", status["credit"] == "closed"),
            ("RAIL_EXPECTED", (kind == "Issue" and rails != (1, 0)) or (kind == "Redeem" and rails != (0, 1))),
            ("RAIL_RESERVED", kind in ("Transfer", "Pending") and 1 in rails),
            ("DEBIT_FROZEN", status["debit"] == "frozen"),
            ("CREDIT_FROZEN", status["credit"] == "frozen"),
            ("AMOUNT_OVER_LIMIT", 0 < most_at_once < amount),
            ("DEBIT_SUM_TOO_LARGE", spent > BIG),
            ("CREDIT_SUM_TOO_LARGE", got > BIG),
            ("EXCEEDS_CREDITS", d_kind == 0 and spent > d["cp"]),
            ("EXCEEDS_DEBITS", c_kind == 1 and got > c["dp"]),
            ("BALANCE_OVER_LIMIT", 0 < most_held < got - c["dp"]),
        ]
        return next((code for code, wrong in rows if wrong), "OK")
