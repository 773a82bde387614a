"""Disputes in a wallet: how each stands, what was said, and what became of our last step."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from clients.engine import Engine
from clients.events import Received
from clients.records import rows
from clients.wallet.pots import Wallets
from protocol.messages import Body, parse
from protocol.messages import dispute as D
from protocol.messages import pay as P
from protocol.messages.dispute import Stage

CASES = "disputes"  # by operation of the payment


class Case(msgspec.Struct):
    """A dispute. ``words``: (who, what they said) in the order in which the worker told it."""

    payment: bytes
    opener: bytes
    payee: bytes
    ledger: str
    exponent: int
    amount: int
    stage: int
    expires_ms: int
    offers: tuple[tuple[bytes, int], ...] = ()
    returned: int = 0
    words: tuple[tuple[bytes, str], ...] = ()

    def offer_of(self, account: bytes) -> int | None:
        """How much is to go back, as somebody would have it."""
        return dict(self.offers).get(account)

    def __repr__(self) -> str:
        return f"Case({self.payment[:16].hex()}, {Stage(self.stage).name})"


class Cases:
    """Disputes by the operation of their payment."""

    def __init__(self, engine: Engine, book: Wallets) -> None:
        self._shelf = engine.shelf
        self._book = book
        self.cases = {case.payment: case for case in rows(self._shelf.vault, CASES, Case)}
        self.steps: dict[bytes, str | None] = {}  # ours by message: not answered, done (empty), or why it was refused
        self._changed: Callable[[], None] = lambda: self._book.changed()

    def heard(self, event: Received, body: Body) -> None:
        """A message from our worker; others are none of ours."""
        home = self._book.home
        if home is None or (event.account, event.topic) != (home.worker, home.topic):
            return
        if isinstance(body, D.Case):
            self._case(body)
        re = parse(event.content).content.re if self.steps else None
        if re is not None and re.id in self.steps:
            if isinstance(body, D.Case):
                self.steps[re.id] = ""
            elif isinstance(body, P.Status):
                self.steps[re.id] = body.text or "refused"
            self._shelf.journal.after(self._changed)

    def _case(self, body: D.Case) -> None:
        known = self.cases.get(body.payment)
        words = () if known is None else known.words
        if body.by and body.text:
            words = (*words, (body.by, body.text))
        case = Case(
            body.payment, body.opener, body.payee, body.ledger, body.exponent, body.amount, body.stage,
            body.expires_ms, tuple((offer.account, offer.amount) for offer in body.offers), body.returned, words,
        )  # fmt: skip
        self.cases[body.payment] = case
        self._shelf.journal.put(CASES, body.payment, case)
        self._shelf.journal.after(self._changed)
