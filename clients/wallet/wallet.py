"""What an application does with money: ``client.wallet``.

::

    await client.wallet.open("EUR")
    payment = await client.wallet.pay(bob, 1250, "EUR", memo="lunch")
    if payment.state is State.UNKNOWN: ...   # not heard yet: `ask_again(payment.id)`, never a new payment

A payment is signed, kept and on its way in one vault transaction. Whatever happens then, its id stays: asking again
sends the very same bytes, and the worker answers with what became of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from clients.engine import Engine
from clients.wallet.book import Book, is_final
from clients.wallet.contests import Contests
from clients.wallet.errors import ANSWER_S as ANSWER_S
from clients.wallet.errors import WalletError as WalletError
from clients.wallet.records import Home, Payment, Request
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.messages import Body
from protocol.messages import pay as P
from protocol.messages import stake as S
from protocol.messages.pay import State
from protocol.money import format_amount, parse_amount
from protocol.payments import Authorization, operation_id, request_hash, sign_authorization

HANDLE: Final = "settlement"  # where a wallet is opened unless somebody says otherwise


class Wallet(Contests):
    """See the module. ``pair`` founds or finds a conversation, ``find`` an account by handle."""

    def __init__(
        self, engine: Engine, pair: Callable[[bytes], Awaitable[bytes]], find: Callable[[str], Awaitable[bytes]],
        check_keys: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        self.book = Book(engine)
        self._engine = engine
        self._pair = pair
        self._find = find
        self._check_keys = check_keys
        self._news = trio.Event()
        self.book.changed = self._wake

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # -- looking -------------------------------------------------------------------------------------------------------
    @property
    def home(self) -> Home:
        """The worker that we use. Raises ``WalletError`` before a wallet was opened."""
        if self.book.home is None:
            raise WalletError("no wallet is open here; open one with /wallet open CURRENCY")
        return self.book.home

    @property
    def payments(self) -> list[Payment]:
        """All payments of ours and to us that this device knows of, oldest first."""
        return sorted(self.book.payments.values(), key=lambda payment: payment.made_ms)

    @property
    def requests(self) -> list[Request]:
        """All requests, oldest first."""
        return sorted(self.book.requests.values(), key=lambda request: request.made_ms)

    @property
    def alarm(self) -> str:
        """What the worker was caught at; empty: nothing."""
        watch = self.book.watches.get(self.home.worker)
        return "" if watch is None else watch.log.alarm

    def payment(self, id_: bytes) -> Payment:
        """A payment by our id, or by the ledger's. Raises ``WalletError``."""
        found = self.book.payments.get(id_) or self.book.payments.get(operation_id(self._engine.shelf.account, id_))
        if found is None:
            raise WalletError(f"this wallet knows no payment {id_.hex()}")
        return found

    def exponent(self, ledger: str) -> int:
        """Digits behind the point of a currency that we have. Raises ``WalletError``."""
        known = self.home.accounts.get(ledger)
        if known is None:
            have = ", ".join(sorted(self.home.accounts)) or "none"
            raise WalletError(f"you have no wallet in {ledger}; you have: {have}. /wallet open {ledger} opens one")
        return known[0]

    def amount(self, text: str, ledger: str) -> int:
        """What somebody typed, in minor units. Raises ``MoneyError``, ``WalletError``."""
        return parse_amount(text, self.exponent(ledger))

    def shown(self, amount: int, ledger: str, exponent: int | None = None) -> str:
        """An amount for people."""
        known = 0 if self.book.home is None else self.book.home.accounts.get(ledger, (0, 0, 0, 0))[0]
        return format_amount(amount, known if exponent is None else exponent, ledger)

    # -- wallets -------------------------------------------------------------------------------------------------------
    async def open(self, ledger: str, *, worker: bytes | None = None, timeout_s: float = ANSWER_S) -> Home:
        """Open a wallet in a currency, with the worker of the handle ``settlement`` unless another one is named.

        What waits for us is claimed. Raises ``WalletError`` if the worker does not answer or has no such currency.
        """
        if self.book.home is None or worker not in (None, self.book.home.worker):
            account = worker or await self._find(HANDLE)
            topic = await self._pair(account)
            self.book.save_home(Home(account, HANDLE, topic))
        await self._ask(P.Open(ledger=ledger, checkpoint=self.book.checkpoint()))
        if not await self._until(lambda: ledger in self.home.accounts, timeout_s):
            raise WalletError(f"no wallet in {ledger} yet: the worker has no such currency, or does not answer")
        return self.home

    async def balance(self, *, timeout_s: float = ANSWER_S) -> dict[str, tuple[int, int, int, int]]:
        """Ledger → (exponent, free, reserved, expected). Raises ``WalletError`` if the worker does not answer."""
        mark = self.home.accounts  # replaced by the answer, never changed
        await self._ask(P.Query(what="balance", checkpoint=self.book.checkpoint()))
        if not await self._until(lambda: self.home.accounts is not mark, timeout_s):
            raise WalletError("the worker does not answer; what you saw last is in the wallet")
        return dict(self.home.accounts)

    async def history(self, after: int = 0, *, timeout_s: float = ANSWER_S) -> P.History:
        """Lines of our accounts as the worker has them, from behind a sequence. Raises ``WalletError``."""
        self.book.history.clear()
        await self._ask(P.Query(what="history", after=after, checkpoint=self.book.checkpoint()))
        if not await self._until(lambda: bool(self.book.history), timeout_s):
            raise WalletError("the worker does not answer")
        return self.book.history[-1]

    async def audit(self, *, timeout_s: float = ANSWER_S) -> str:
        """Have the worker prove that its log has only grown since we last saw it; what is wrong, or empty."""
        watch = self.book.watch(self.home.worker, self.home.log)
        watch.prove()
        answers = watch.answers
        await self._engine.shelf.journal.flushed()
        await self._until(lambda: watch.answers > answers or bool(watch.log.alarm), timeout_s)
        return watch.log.alarm

    # -- asking --------------------------------------------------------------------------------------------------------
    async def request(
        self, topic: bytes, ledger: str, amount: int = 0, *, payer: bytes = b"", least: int = 0, most: int = 0,
        items: tuple[P.Item, ...] = (), memo: str = "", due_ms: int = 0, life_ms: int = L.PAY_REQUEST_MS,
    ) -> bytes:  # fmt: skip
        """Ask for money in a conversation; the request's hash. ``amount`` 0: as the payer likes.

        Raises ``WalletError``, ``PayError``.
        """
        shelf = self._engine.shelf
        body = P.Request(
            payee=shelf.account, worker=self.home.worker, ledger=ledger, exponent=self.exponent(ledger),
            expires_ms=shelf.clock_ms() + life_ms, amount=amount, least=least, most=most, payer=payer, items=items,
            memo=memo, due_ms=due_ms, checkpoint=self.book.checkpoint(),
        )  # fmt: skip
        P.check_request(body)
        self._check_keys(topic)
        message_id = self.book.say(topic, body)
        if message_id is None:
            raise WalletError("you are not in that conversation any more")
        raw = encode_struct(body)
        hash_ = request_hash(shelf.account, message_id, raw)
        self.book.save_request(Request(hash_, message_id, topic, shelf.account, raw, shelf.clock_ms()))
        await shelf.journal.flushed()
        return hash_

    def request_of(self, hash_: bytes) -> tuple[Request, P.Request]:
        """A request and what it says. Raises ``WalletError``."""
        found = self.book.requests.get(hash_)
        if found is None:
            raise WalletError("there is no such request here")
        return found, decode_struct(found.body, P.Request)

    async def decline(self, hash_: bytes, reason: str = "") -> None:
        """Say that we will not pay a request. Raises ``WalletError``."""
        request, _ = self.request_of(hash_)
        self.book.say(request.topic, P.Decline(request=hash_, reason=reason))
        if request.state == "open" and request.payee != self._engine.shelf.account:
            request.state = "declined"
            self.book.save_request(request)
        await self._engine.shelf.journal.flushed()

    async def cancel(self, hash_: bytes) -> None:
        """Take a request of ours back: nobody can pay it from when the worker has heard it. Raises ``WalletError``."""
        request, _ = self.request_of(hash_)
        if request.payee != self._engine.shelf.account:
            raise WalletError("only whoever asked can take a request back; /decline it")
        body = P.Cancel(request=hash_, id=request.id, body=request.body, checkpoint=self.book.checkpoint())
        self.book.say(self.home.topic, body)
        self.book.say(request.topic, P.Cancel(request=hash_, id=request.id))
        if request.state == "open":
            request.state = "cancelled"
            self.book.save_request(request)
        await self._engine.shelf.journal.flushed()

    # -- paying --------------------------------------------------------------------------------------------------------
    async def pay(
        self, payee: bytes, amount: int, ledger: str, *, memo: str = "", claim_ms: int = L.PAY_CLAIM_MS,
        timeout_s: float = ANSWER_S,
    ) -> Payment:  # fmt: skip
        """Pay somebody; the payment as far as it is known after ``timeout_s``: UNKNOWN is no failure.

        ``claim_ms``: how long it waits if they have no wallet. Raises ``WalletError``; then nothing was sent.
        """
        topic = await self._pair(payee)
        return await self._authorize(
            Payment(
                b"", self.home.worker, b"", payee, ledger, self.exponent(ledger), amount, 0, memo=memo, topic=topic
            ),
            claim_ms, timeout_s,
        )  # fmt: skip

    async def pay_request(self, hash_: bytes, amount: int = 0, *, timeout_s: float = ANSWER_S) -> Payment:
        """Pay what was asked, or ``amount`` where the request leaves it open. Raises ``WalletError``."""
        request, body = self.request_of(hash_)
        if body.worker != self.home.worker:
            raise WalletError("this request is to be paid with another worker than yours")
        paid = amount or body.amount
        if not P.allows(body, paid):
            raise WalletError("the request does not allow that amount")
        return await self._authorize(
            Payment(
                b"", body.worker, b"", body.payee, body.ledger, body.exponent, paid, 0, memo=body.memo, request=hash_,
                request_id=request.id, request_body=request.body, topic=request.topic,
            ),
            0, timeout_s,
        )  # fmt: skip

    async def refund(self, operation: bytes, amount: int = 0, *, timeout_s: float = ANSWER_S) -> Payment:
        """Give back a payment that came to us, or part of it. Raises ``WalletError``."""
        original = self.payment(operation)
        if original.payee != self._engine.shelf.account or original.state not in (State.SETTLED, State.REVERSED):
            raise WalletError("only a payment that came to you and was settled can be given back")
        topic = await self._pair(original.payer)
        return await self._authorize(
            Payment(
                b"", original.worker, b"", original.payer, original.ledger, original.exponent,
                amount or original.amount, 0, memo="refund", original=original.operation, topic=topic,
            ),
            0, timeout_s,
        )  # fmt: skip

    async def _authorize(self, payment: Payment, claim_ms: int, timeout_s: float) -> Payment:
        """Sign, keep and send, in one transaction; then wait a while."""
        shelf = self._engine.shelf
        self._check_keys(self.home.topic)
        now_ms, id_ = shelf.clock_ms(), shelf.new_id()
        payment.payer, payment.operation = shelf.account, operation_id(shelf.account, id_)
        payment.made_ms = now_ms
        payment.signed = sign_authorization(
            Authorization(
                payment.worker, payment.payer, payment.payee, payment.ledger, payment.exponent, payment.amount, id_,
                now_ms, now_ms + L.PAY_WINDOW_MS, payment.request, payment.original, claim_ms,
            ),
            shelf.device,
        )  # fmt: skip
        self.book.save(payment)
        await self._send(payment)
        return await self.outcome(payment.operation, timeout_s=timeout_s)

    async def _send(self, payment: Payment) -> None:
        body = self.book.pots.funding(payment)
        if payment.request_body and not payment.request_id:
            body = S.Stake(signed=payment.signed, terms=payment.request_body, checkpoint=self.book.checkpoint())
        if body is not None:
            pass
        elif payment.original:
            body = P.Refund(signed=payment.signed, checkpoint=self.book.checkpoint())
        else:
            body = P.Authorize(
                signed=payment.signed, id=payment.request_id, body=payment.request_body,
                checkpoint=self.book.checkpoint(),
            )  # fmt: skip
        await self._ask(body)

    async def outcome(self, operation: bytes, *, timeout_s: float = ANSWER_S) -> Payment:
        """Wait until it is known what became of a payment, at most so long; then as far as it is known."""
        self.payment(operation)  # a receipt may put another one in its place

        def is_known() -> bool:
            payment = self.payment(operation)
            return is_final(payment) or payment.state == State.HELD

        await self._until(is_known, timeout_s)
        return self.payment(operation)

    async def ask_again(self, operation: bytes, *, timeout_s: float = ANSWER_S) -> Payment:
        """Ask what became of a payment by sending the same signed bytes again: it is made at most once.

        Raises ``WalletError`` for a payment that this device has not signed.
        """
        payment = self.payment(operation)
        if not payment.signed:
            raise WalletError("this payment was not made by you, so there is nothing to ask again")
        await self._send(payment)
        return await self.outcome(payment.operation, timeout_s=timeout_s)

    # -- inside --------------------------------------------------------------------------------------------------------
    async def _ask(self, body: Body) -> None:
        if self.book.say(self.home.topic, body) is None:
            raise WalletError("the conversation with the worker is over; open a wallet again")
        await self._engine.shelf.journal.flushed()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with trio.move_on_after(timeout_s):
            while not condition():
                await self._news.wait()
        return condition()
