"""Random operations for the ledger, asked of the engine and of the oracle at once. A seed says everything."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from extensions.settlement import operations as ops
from extensions.settlement.apply import apply
from extensions.settlement.state import Past, State
from tests.support.ledger_oracle import Oracle

START_MS = 1_800_000_000_000
NAMES = {"EUR": 2, "JPY": 0, "points": 3}
ODD_AMOUNTS = (0, -1, 2**53 - 1, 2**53, 2**63, 2**64, True, 1.5, "5", None)

Asked = tuple[str, dict[str, Any]]


def owner(number: int) -> bytes:
    """32 bytes that stand for a person."""
    return number.to_bytes(32, "big")


def operation(asked: Asked) -> Any:
    """The engine's form of it."""
    return getattr(ops, asked[0])(**asked[1])


@dataclass
class World:
    """Makes operations that often fit the books, and sometimes do not."""

    chance: random.Random
    people: int = 24
    count: int = 0
    now_ms: int = START_MS
    recent: list[Asked] = field(default_factory=list)
    pendings: list[bytes] = field(default_factory=list)

    def id(self) -> bytes:
        self.count += 1
        return b"op%d" % self.count

    def founding(self) -> list[Asked]:
        """Ledgers, rails, people with money."""
        made: list[Asked] = []
        for name, exponent in NAMES.items():
            made.append(("OpenLedger", {"id": self.id(), "ledger": name, "exponent": exponent}))
            for number in range(self.people):
                made.append(self.opening(name, number, 1 if number == 0 else 0))
            for number in range(1, self.people - 2):
                fields = {"debit": owner(0), "credit": owner(number), "ledger": name, "exponent": exponent}
                made.append(("Issue", {"id": self.id(), **fields, "amount": 10_000, "memo": b""}))
        return made

    def opening(self, name: str, number: int, kind: int) -> Asked:
        most = self.chance.choice((0, 0, 0, 700))
        held = self.chance.choice((0, 0, 0, 20_000)) if kind == 0 else 0
        fields = {"owner": owner(number), "ledger": name, "kind": kind, "amount_max": most, "balance_max": held}
        return "Open", {"id": self.id(), **fields}

    def one(self) -> Asked:
        """Any operation."""
        chance = self.chance
        if self.recent and chance.random() < 0.04:
            return self.again(chance.choice(self.recent))
        kind = chance.choices(
            ("Transfer", "Pending", "Post", "Void", "Issue", "Redeem", "account", "OpenLedger"),
            (40, 18, 12, 5, 8, 6, 5, 1),
        )[0]
        if kind == "account":
            return self.about_account()
        name = chance.choice(list(NAMES)) if chance.random() < 0.99 else chance.choice(("USD", "xxxx1", "XQX", "gone"))
        name = "nowhere" if name == "xxxx1" else name
        exponent = NAMES.get(name, 2) if chance.random() < 0.99 else chance.choice((-1, 9, 4))
        if kind == "OpenLedger":
            return kind, {"id": self.id(), "ledger": name, "exponent": exponent}
        memo = b"" if chance.random() < 0.99 else b"m" * chance.choice((256, 257))
        if kind in ("Post", "Void"):
            pending = chance.choice(self.pendings) if self.pendings and chance.random() < 0.97 else b"none"
            amount = None if chance.random() < 0.5 else self.amount()
            fields: dict[str, Any] = {"pending": pending, "amount": amount, "memo": memo}
            if kind == "Void":
                del fields["amount"]
            return kind, {"id": self.id(), **fields}
        return self.moving(kind, name, exponent, memo)

    def moving(self, kind: str, name: str, exponent: int, memo: bytes) -> Asked:
        chance = self.chance
        one = chance.randrange(1, self.people + (chance.random() < 0.1))
        other = one if chance.random() < 0.01 else chance.randrange(1, self.people + (chance.random() < 0.1))
        if kind == "Issue":
            one = 0 if chance.random() < 0.95 else one
        elif kind == "Redeem":
            other = 0 if chance.random() < 0.95 else other
        elif chance.random() < 0.01:
            one = 0
        fields = {"debit": owner(one), "credit": owner(other), "ledger": name, "exponent": exponent}
        made = {"id": self.id(), **fields, "amount": self.amount()}
        if kind == "Pending":
            made["expires_ms"] = self.now_ms + chance.choice((1, *(50, 500, 5000) * 9, 400 * 86_400_000, -5))
            self.pendings = [*self.pendings[-40:], made["id"]]
        return kind, {**made, "memo": memo}

    def amount(self) -> Any:
        chance = self.chance
        return chance.choice(ODD_AMOUNTS) if chance.random() < 0.02 else chance.randrange(1, 900)

    def about_account(self) -> Asked:
        chance = self.chance
        name, number = chance.choice(list(NAMES)), chance.randrange(self.people + 2)
        kind = chance.choice(("Open", "SetLimits", "Freeze", *("Unfreeze",) * 4, "Close"))
        if kind == "Open":
            return self.opening(name, number, 0)
        fields: dict[str, Any] = {"owner": owner(number), "ledger": name}
        if kind == "SetLimits":
            fields |= {"amount_max": chance.choice((0, 0, 600)), "balance_max": chance.choice((0, 0, 12_000, -1))}
        return kind, {"id": self.id(), **fields}

    def again(self, asked: Asked) -> Asked:
        """A retry, sometimes with something changed."""
        kind, fields = asked
        if self.chance.random() < 0.3 and "amount" in fields:
            return kind, {**fields, "amount": self.amount()}
        return asked

    def chain(self) -> list[Asked]:
        size = 1 if self.chance.random() < 0.9 else self.chance.randrange(2, 6)
        made = [self.one() for _ in range(size)]
        if self.chance.random() < 0.7:
            self.recent = [*self.recent[-60:], *made]
        return made

    def batch(self) -> tuple[list[list[Asked]], int]:
        """Chains and the time, which sometimes goes back."""
        self.now_ms += self.chance.choice((0, 0, 1, 20, 300))
        now_ms = self.now_ms - (1000 if self.chance.random() < 0.05 else 0)
        return [self.chain() for _ in range(self.chance.randrange(1, 60))], now_ms


def balances(state: State) -> dict[tuple[str, bytes], tuple[int, int, int, int]]:
    """Of the engine."""
    return {
        key: (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted)
        for key, a in state.accounts.items()
    }


def oracle_balances(oracle: Oracle) -> dict[tuple[str, bytes], tuple[int, int, int, int]]:
    """Of the oracle."""
    return {key: (int(s["dw"]), int(s["dp"]), int(s["cw"]), int(s["cp"])) for key, s in oracle.totals.items()}


def compare(seed: int, operations: int) -> dict[str, int]:
    """Ask both until so many operations are through; how often each code came. AssertionError: they differ."""
    world, oracle, state, past = World(random.Random(seed)), Oracle(), State(), Past()
    codes: dict[str, int] = {}
    batch, now_ms = [[asked] for asked in world.founding()], world.now_ms
    done = round_ = 0
    while done < operations:
        applied = apply(state, past, [tuple(map(operation, chain)) for chain in batch], now_ms)
        expected = oracle.batch(batch, now_ms)
        got = [[(r.code.name, r.sequence, r.amount, r.field) for r in results] for results in applied.results]
        if got != expected:
            wrong = next(n for n, pair in enumerate(zip(got, expected, strict=True)) if pair[0] != pair[1])
            raise AssertionError(f"seed {seed}, batch {round_}: {batch[wrong]}: {got[wrong]}, not {expected[wrong]}")
        state.merge(applied.overlay)
        past.add(applied.journal)
        for results in applied.results:
            for result in results:
                codes[result.code.name] = codes.get(result.code.name, 0) + 1
        done += sum(map(len, batch))
        round_ += 1
        if round_ % 20 == 0:
            assert balances(state) == oracle_balances(oracle), f"seed {seed}, batch {round_}"
        batch, now_ms = world.batch()
    assert balances(state) == oracle_balances(oracle), f"seed {seed}"
    assert state.sequence == len(oracle.lines)
    for name in NAMES:
        for sides in ((0, 2), (1, 3)):
            assert not sum(b[sides[0]] - b[sides[1]] for key, b in balances(state).items() if key[0] == name)
    return codes
