"""The verb ``/dispute``. ``money`` offers it with its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from clients.cli.giving import sure
from clients.cli.room import Room, clean
from clients.wallet import Payment, Wallet
from clients.wallet.cases import Case
from protocol.messages.dispute import Stage

HELP: Final = """
[bold]/dispute[/] [PAYMENT [open AMOUNT WHY | say TEXT | offer AMOUNT | accept | withdraw]]   about a payment"""


class Disputing:
    """The verb. ``payment_of``: a payment by its last digits."""

    def __init__(self, room: Room, payment_of: Callable[[str], Payment]) -> None:
        self._room = room
        self._payment_of = payment_of
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {"dispute": self._dispute}

    @property
    def _book(self) -> Wallet:
        return self._room.client.wallet

    async def _dispute(self, words: list[str]) -> list[str]:
        if not words:
            return [line for case in self._book.disputes for line in self.lines(case)] or ["no disputes"]
        words, is_sure = sure(words)
        payment = self._payment_of(words[0])
        known = self._book.book.cases.cases.get(payment.operation)
        verb, rest = (words[1], words[2:]) if len(words) > 1 else ("", [])
        if verb == "say":
            return self.lines(await self._book.say_about(payment.operation, " ".join(rest)))
        if verb == "offer":
            return self.lines(await self._book.offer(payment.operation, self._amount(rest[0], payment)))
        if verb == "withdraw":
            return self.lines(await self._book.withdraw(payment.operation, " ".join(rest)))
        if verb == "open":
            amount, why = self._amount(rest[0], payment), " ".join(rest[1:])
            shown = self._book.shown(amount, payment.ledger, payment.exponent)
            if not is_sure:
                return [f"this freezes {shown} of what you paid. To do it: /dispute {' '.join(words)} yes"]
            return self.lines(await self._book.dispute(payment.operation, amount, why))
        if verb == "accept" and known is not None:
            return await self._accept(known, words, is_sure)
        return self.lines(known) if known is not None else ["nobody disputes this payment"]

    async def _accept(self, case: Case, words: list[str], is_sure: bool) -> list[str]:
        me = self._room.client.account
        theirs = case.offer_of(case.payee if me == case.opener else case.opener)
        if theirs is None:
            return ["the other one has offered nothing yet"]
        if not is_sure:
            shown = self._book.shown(theirs, case.ledger, case.exponent)
            return [f"then {shown} goes back to the payer. To do it: /dispute {' '.join(words)} yes"]
        return self.lines(await self._book.accept(case.payment, theirs))

    def _amount(self, word: str, payment: Payment) -> int:
        return 0 if word == "0" else self._book.amount(word, payment.ledger)

    def lines(self, case: Case) -> list[str]:
        """A dispute in lines: how it stands, offers, and what was said."""

        def shown(amount: int) -> str:
            return self._book.shown(amount, case.ledger, case.exponent)

        end = f", {shown(case.returned)} went back" if case.returned else ""
        digits, who = case.payment[:16].hex()[-8:], self._room.name_of(case.opener)
        first = f"  {digits}  {who} disputes {shown(case.amount)}: {Stage(case.stage).name.lower()}{end}"
        offers = [f"    {self._room.name_of(account)} offers {shown(amount)} back" for account, amount in case.offers]
        words = [f"    {self._room.name_of(account)}: {clean(text)}" for account, text in case.words]
        return [first, *(offers if case.stage == Stage.OPEN else []), *words]
