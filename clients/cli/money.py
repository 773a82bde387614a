"""Verbs about money, for both faces of ``chappe chat``: a verb takes words and gives lines to show.

What moves money asks first: it says what would happen, and happens with the word ``yes`` at the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from clients.cli.receipt import as_file
from clients.cli.room import NotFound, Room, clean, short
from clients.wallet import Payment, Request, Wallet
from protocol.codec import decode_struct
from protocol.messages import pay as P
from protocol.messages.pay import State

HELP: Final = """\
[bold]/wallet[/] [open CUR]   what you have; open a wallet in a currency
[bold]/pay[/] NAME AMOUNT CUR [MEMO]  [bold]/pay[/] REQUEST [AMOUNT]   pay; what moves money asks first
[bold]/request[/] NAME AMOUNT CUR [MEMO]  [bold]/decline[/] REQUEST [WHY]   ask; will not pay, or take yours back
[bold]/refund[/] PAYMENT [AMOUNT]   give back what came to you
[bold]/payments[/] [again PAYMENT | save PAYMENT FILE]   payments and requests; ask again; save a receipt"""
_DIGITS_MIN: Final = 4


class Money:
    """Verbs, by name."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._client = room.client
        self.acting = 0  # verbs that move money and are not done: what becomes of it is theirs to say
        self.told: dict[bytes, int] = {}  # operation -> state in which it was shown last
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            "wallet": self._wallet, "pay": self._pay, "request": self._request, "decline": self._decline,
            "refund": self._refund, "payments": self._payments,
        }  # fmt: skip

    @property
    def _book(self) -> Wallet:
        return self._client.wallet

    # -- looking -------------------------------------------------------------------------------------------------------
    async def _wallet(self, words: list[str]) -> list[str]:
        wallet = self._book
        if words[:1] == ["open"]:
            await wallet.open(words[1])
        lines = []
        for ledger, (exponent, free, reserved, expected) in sorted((await wallet.balance()).items()):
            line = f"  {wallet.shown(free, ledger, exponent)}"
            line += f", {wallet.shown(reserved, ledger, exponent)} reserved" * bool(reserved)
            lines.append(line + f", {wallet.shown(expected, ledger, exponent)} expected" * bool(expected))
        alarm = [f"DO NOT TRUST this worker: {wallet.alarm}"] if wallet.alarm else []
        return [*alarm, *(lines or ["no wallet yet; /wallet open CURRENCY"])]

    async def _payments(self, words: list[str]) -> list[str]:
        if words[:1] == ["again"]:
            return [await self._done(self._book.ask_again(self._payment(words[1]).operation))]
        if words[:1] == ["save"]:
            payment = self._payment(words[1])
            if not payment.receipt:
                raise NotFound("there is no receipt of that payment here yet; /payments again asks for it")
            _write(" ".join(words[2:]) or words[2], as_file(payment, self._book.home.log))
            return [f"the receipt of {payment.id.hex()[-8:]} is saved; `chappe receipt verify` checks it"]
        lines = [self.line(payment) for payment in self._book.payments[-20:]]
        asked = [f"  {short(r.hash)}  {self.asked(r)}" for r in self._book.requests if r.state == "open"]
        return [*lines, *asked] or ["no payments"]

    def line(self, payment: Payment) -> str:
        """A payment in a line."""
        self.told[payment.operation] = payment.state
        mine = payment.payer == self._client.account
        other = self._room.name_of(payment.payee if mine else payment.payer)
        amount = self._book.shown(payment.amount, payment.ledger, payment.exponent)
        said = f"  {clean(payment.memo)}" if payment.memo else ""
        why = f" ({clean(payment.text)})" if payment.text and payment.state == State.FAILED else ""
        way = "to" if mine else "from"
        return f"  {payment.id.hex()[-8:]}  {amount} {way} {other}  {State(payment.state).name.lower()}{why}{said}"

    def asked(self, request: Request) -> str:
        """A request in words."""
        body = decode_struct(request.body, P.Request)
        who = "you ask" if request.payee == self._client.account else f"{self._room.name_of(request.payee)} asks"
        amount = self._book.shown(body.amount, body.ledger, body.exponent) if body.amount else f"any {body.ledger}"
        return f"{who} for {amount}  {clean(body.memo)}".rstrip()

    async def _done(self, doing: Awaitable[Payment]) -> str:
        self.acting += 1
        try:
            return self.line(await doing)
        finally:
            self.acting -= 1

    # -- acting --------------------------------------------------------------------------------------------------------
    async def _pay(self, words: list[str]) -> list[str]:
        words, sure = _sure(words)
        found = self._requests_like(words[0])
        if found:
            body = decode_struct(found[0].body, P.Request)
            amount = self._book.amount(words[1], body.ledger) if len(words) > 1 else body.amount
            if not sure:
                return [self._question(body.payee, amount, body.ledger, clean(body.memo), "pay", words)]
            return [await self._done(self._book.pay_request(found[0].hash, amount))]
        payee, ledger, memo = self._room.account_of(words[0]), words[2], " ".join(words[3:])
        amount = self._book.amount(words[1], ledger)
        if not sure:
            return [self._question(payee, amount, ledger, memo, "pay", words)]
        return [await self._done(self._book.pay(payee, amount, ledger, memo=memo))]

    def _question(self, payee: bytes, amount: int, ledger: str, memo: str, verb: str, words: list[str]) -> str:
        name = f"{self._room.name_of(payee)} ({short(payee)}…)"
        what = f"this pays {self._book.shown(amount, ledger)} to {name}"
        return f"{what}{f' for {memo}' if memo else ''}. To do it: /{verb} {' '.join(words)} yes"

    async def _request(self, words: list[str]) -> list[str]:
        payer = self._room.account_of(words[0])
        talk = await self._client.pair(payer)
        amount = self._book.amount(words[1], words[2])
        hash_ = await self._book.request(talk.topic, words[2], amount, payer=payer, memo=" ".join(words[3:]))
        return [f"asked: {short(hash_)}; /decline {short(hash_)} takes it back"]

    async def _decline(self, words: list[str]) -> list[str]:
        found = self._requests_like(words[0])
        if not found:
            raise NotFound(f"no open request begins with {words[0]}; /payments shows them")
        if found[0].payee == self._client.account:
            await self._book.cancel(found[0].hash)
            return ["taken back, unless it was paid a moment ago: /payments shows it"]
        await self._book.decline(found[0].hash, " ".join(words[1:]))
        return ["declined"]

    async def _refund(self, words: list[str]) -> list[str]:
        words, sure = _sure(words)
        payment = self._payment(words[0])
        amount = self._book.amount(words[1], payment.ledger) if len(words) > 1 else payment.amount
        if not sure:
            return [self._question(payment.payer, amount, payment.ledger, "refund", "refund", words)]
        return [await self._done(self._book.refund(payment.operation, amount))]

    def _payment(self, digits: str) -> Payment:
        found = [p for p in self._book.payments if len(digits) >= _DIGITS_MIN and p.id.hex().endswith(digits)]
        if len(found) != 1:
            raise NotFound(f"{len(found)} payments end with {digits!r}; /payments shows them")
        return found[0]

    def _requests_like(self, digits: str) -> list[Request]:
        known = [request for request in self._book.requests if request.state == "open"]
        found = [r for r in known if len(digits) >= _DIGITS_MIN and r.hash.hex().startswith(digits)]
        return found if len(found) == 1 else []


def _write(path: str, text: str) -> None:
    """Raises ``ValueError``."""
    try:
        Path(path).expanduser().write_text(text)
    except OSError as error:
        raise ValueError(f"the receipt cannot be written: {error}") from None


def _sure(words: list[str]) -> tuple[list[str], bool]:
    """The words without the confirmation, and whether it was there."""
    return (words[:-1], True) if words[-1:] == ["yes"] else (words, False)
