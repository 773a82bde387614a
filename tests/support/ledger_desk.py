"""A short way to the pure ledger: one currency, a rail, people with money, and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, field

from extensions.settlement import operations as ops
from extensions.settlement.apply import Results, apply
from extensions.settlement.codes import Code
from extensions.settlement.operations import Operation, Record, Result
from extensions.settlement.state import Account, Past, State
from tests.support.ledger_random import START_MS, owner

RAIL = ops.rail_account("mint")
ANN, BOB, EVE = owner(1), owner(2), owner(3)


@dataclass
class Desk:
    """The books, and who asks."""

    state: State = field(default_factory=State)
    past: Past = field(default_factory=Past)
    journal: list[Record] = field(default_factory=list)
    now_ms: int = START_MS
    count: int = 0

    def __post_init__(self) -> None:
        self.batch(
            (ops.OpenLedger(self.id(), "EUR", 2),),
            (ops.Open(self.id(), RAIL, "EUR", ops.Kind.RAIL),),
            *[(ops.Open(self.id(), who, "EUR"),) for who in (ANN, BOB, EVE)],
            *[(ops.Issue(self.id(), RAIL, who, "EUR", 2, 1000),) for who in (ANN, BOB)],
        )

    def id(self) -> bytes:
        self.count += 1
        return b"desk%d" % self.count

    def batch(self, *chains: tuple[object, ...]) -> list[Results]:
        """Decide and make it the truth; sums stay constant whatever was asked."""
        applied = apply(self.state, self.past, chains, self.now_ms)
        self.state.merge(applied.overlay)
        self.past.add(applied.journal)
        self.journal += applied.journal
        accounts = self.state.accounts.values()
        assert sum(a.debits_posted - a.credits_posted for a in accounts) == 0
        assert sum(a.debits_pending - a.credits_pending for a in accounts) == 0
        assert all(min(a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted) >= 0 for a in accounts)
        return applied.results

    def ask(self, operation: object) -> Result:
        """One operation alone."""
        ((result,),) = self.batch((operation,))
        return result

    def chain(self, *operations: Operation) -> list[Code]:
        """Linked ones."""
        return [result.code for result in self.batch(operations)[0]]

    def transfer(self, amount: object = 10, debit: bytes = ANN, credit: bytes = BOB, **rest: object) -> ops.Transfer:
        fields = {"id": self.id(), "ledger": "EUR", "exponent": 2, **rest}
        return ops.Transfer(debit=debit, credit=credit, amount=amount, **fields)  # type: ignore[arg-type]

    def pending(self, amount: object = 10, life_ms: int = 1000, **rest: object) -> ops.Pending:
        fields = {"id": self.id(), "debit": ANN, "credit": BOB, "ledger": "EUR", "exponent": 2, **rest}
        expires_ms = fields.pop("expires_ms", self.now_ms + life_ms)
        return ops.Pending(amount=amount, expires_ms=expires_ms, **fields)  # type: ignore[arg-type]

    def account(self, who: bytes) -> Account:
        return self.state.accounts["EUR", who]

    def balances(self) -> list[int]:
        """Of Ann, Bob, Eve."""
        return [self.account(who).balance for who in (ANN, BOB, EVE)]
