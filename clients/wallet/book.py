"""A wallet's memory: what messages mean for payments, requests and the log. Runs inside the vault transaction in which
a message becomes an event, so every message counts exactly once, whatever dies when. No I/O, nothing awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from clients.engine import Engine
from clients.events import Alarm, Received
from clients.records import META, rows
from clients.records import Status as Standing
from clients.wallet import records as W
from clients.wallet.cases import Cases
from clients.wallet.pots import Pots
from clients.wallet.records import Home, KnownLog, Payment, Request, may_follow
from clients.wallet.watch import Watch
from protocol.codec import decode_struct
from protocol.content import Content
from protocol.errors import RemoteProtocolError
from protocol.ids import pair_topic
from protocol.messages import Body, compose, parse
from protocol.messages import pay as P
from protocol.messages.pay import FINAL, State
from protocol.payments import (
    ORIGINAL_BYTES,
    PayError,
    Statement,
    open_authorization,
    operation_id,
    read_statement,
    request_hash,
)
from protocol.receipts import Receipt, ReceiptError, verify_receipt

_MOVED: Final = ("transfer", "claim")
_PROVED_BY: Final[dict[int, tuple[str, ...]]] = {
    State.SETTLED: _MOVED, State.HELD: ("hold",), State.REVERSED: _MOVED
}  # fmt: skip
_MARK: Final = b"pay."  # in the bytes of every content of this family: most messages are looked at no further


class Book:
    """See the module. ``changed`` is called after each transaction in which something changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        vault = engine.shelf.vault
        home = vault.get(META, W.HOME.encode())
        self.home = None if home is None else msgspec.msgpack.decode(home, type=Home)
        self.payments = {p.operation: p for p in rows(vault, W.PAYMENTS, Payment)}
        self.requests = {r.hash: r for r in rows(vault, W.REQUESTS, Request)}
        self.watches = {log.worker: self._watch(log) for log in rows(vault, W.LOGS, KnownLog)}
        self.pots = Pots(engine, self)
        self.cases = Cases(engine, self)
        self.history: list[P.History] = []  # the last answer, for whoever asked
        self.changed: Callable[[], None] = lambda: None

    # -- writing -------------------------------------------------------------------------------------------------------
    def save(self, payment: Payment) -> None:
        """Write a payment with the present transaction."""
        self.payments[payment.operation] = payment
        self._shelf.journal.put(W.PAYMENTS, payment.operation, payment)
        self._touched()

    def save_request(self, request: Request) -> None:
        """Write a request."""
        self.requests[request.hash] = request
        self._shelf.journal.put(W.REQUESTS, request.hash, request)
        self._touched()

    def save_home(self, home: Home) -> None:
        """Write which worker we use, and what it told of our accounts."""
        self.home = home
        self._shelf.journal.put(META, W.HOME.encode(), home)
        self._touched()

    def _save_log(self, watch: Watch) -> None:
        self._shelf.journal.put(W.LOGS, watch.log.worker, watch.log)

    def _touched(self) -> None:
        self._shelf.journal.after(lambda: self.changed())

    def say(self, topic: bytes, body: Body) -> bytes | None:
        """Say something in a conversation that we are in; its message id, or None."""
        talk = self._shelf.conversations.get(topic)
        if talk is None or talk.status in (Standing.REMOVED, Standing.LEFT):
            return None
        return self._engine.say(talk, compose(body, seen=self._engine.seen(talk)))

    # -- the log of a worker -------------------------------------------------------------------------------------------
    def _watch(self, log: KnownLog) -> Watch:
        topic = pair_topic(self._shelf.account, log.worker)

        def ask(old: int, to: int) -> None:
            self.say(topic, P.Query(what="proof", old=old, to=to))

        return Watch(
            log, self._shelf.clock_ms, ask, lambda text: self._shelf.journal.tell(Alarm(topic=topic, text=text))
        )

    def watch(self, worker: bytes, name: str) -> Watch:
        """The watch over a worker's log."""
        if worker not in self.watches:
            self.watches[worker] = self._watch(KnownLog(worker, name))
        return self.watches[worker]

    def checkpoint(self) -> bytes:
        """The newest checkpoint of our worker, to be shown to others."""
        watch = None if self.home is None else self.watches.get(self.home.worker)
        return b"" if watch is None else watch.newest

    # -- what comes ----------------------------------------------------------------------------------------------------
    def heard(self, event: Received) -> None:
        """A message of ours or of somebody else."""
        if _MARK not in event.content:
            return
        try:
            message = parse(event.content)
        except RemoteProtocolError:
            return
        body = message.body
        if not isinstance(body, Body) or not body.TYPE.startswith("pay."):
            return
        self.pots.heard(event, body)
        self.cases.heard(event, body)
        if self.home is not None and event.account == self.home.worker:
            if event.topic == self.home.topic:
                self._from_worker(body)
            return
        if isinstance(body, P.Request):
            self._request(event, body, message.content)
        elif isinstance(body, P.Decline | P.Cancel):
            self._ended(event, body)
        elif isinstance(body, P.Authorize | P.Refund) and event.account == self._shelf.account:
            self._own(body)
        elif isinstance(body, P.ReceiptOf) and event.account != self._shelf.account:
            self._handed(event, body)
        self._gossip(body)

    def _gossip(self, body: Body) -> None:
        signed = getattr(body, "checkpoint", b"")
        if signed and self.home is not None:
            watch = self.watch(self.home.worker, self.home.log)
            watch.shown_by_others(signed)
            self._save_log(watch)

    def _from_worker(self, body: Body) -> None:
        assert self.home is not None
        home, watch = self.home, self.watch(self.home.worker, self.home.log)
        if isinstance(body, P.Status):
            self._status(body)
        elif isinstance(body, P.ReceiptOf):
            self._receipt(body)
        elif isinstance(body, P.Balances) and body.worker == home.worker:
            home.log = watch.log.name = body.log
            home.accounts = {b.ledger: (b.exponent, b.amount, b.reserved, b.expected) for b in body.accounts}
            self.save_home(home)
        elif isinstance(body, P.History):
            self.history.append(body)
            self._came(body)
        elif isinstance(body, P.Proof):
            watch.proof(body.old, body.to, body.checkpoint, body.proof)
        signed = getattr(body, "checkpoint", b"")
        if signed:
            watch.shown_by_worker(signed)
        self._save_log(watch)
        self._touched()

    def _status(self, status: P.Status) -> None:
        payment = self.payments.get(operation_id(self._shelf.account, status.id))
        known = status.state in State._value2member_map_
        if payment is not None and known and may_follow(payment.state, status.state):
            payment.state, payment.code, payment.text = status.state, status.code, status.text
            payment.sequence = status.sequence or payment.sequence
            self.pots.held(payment)
            self.save(payment)

    def checked(self, body: P.ReceiptOf) -> Statement | None:
        """What a receipt says, if it is one: in the log, a success, and of the payment that it is said to be of."""
        try:
            receipt = decode_struct(body.receipt, Receipt)
            checkpoint = verify_receipt(receipt, body.worker, body.log)
            statement = read_statement(receipt.body)
        except (ReceiptError, RemoteProtocolError):
            return None
        if body.operation not in (statement.id, statement.pending) or statement.code or not checkpoint.size:
            return None
        return statement if statement.kind in _PROVED_BY.get(body.state, ()) else None

    def _receipt(self, body: P.ReceiptOf) -> None:
        """From the worker: of a payment of ours, or to us."""
        statement = self.checked(body)
        if statement is None or self.home is None or body.worker != self.home.worker:
            return
        self.watch(body.worker, body.log).shown_by_worker(decode_struct(body.receipt, Receipt).checkpoint)
        payment = self.payments.get(body.operation)
        if payment is None or (not payment.amount and payment.payee == self._shelf.account):  # a claim knows no amount
            if statement.payee == self._shelf.account:
                self._incoming(body, statement)
            return
        fits = not statement.payer or _terms(statement) == (
            payment.payer, payment.payee, payment.ledger, payment.exponent, payment.amount,
            payment.original or payment.request,
        )  # fmt: skip
        if not fits:
            self._shelf.journal.tell(Alarm(topic=self.home.topic, text="a receipt is not for what was signed"))
            return
        payment.state, payment.code, payment.text = body.state, 0, ""
        payment.sequence, payment.receipt, payment.handed = statement.sequence, body.receipt, False
        self._hand_over(payment, body)
        self._reverse(payment)
        self.save(payment)

    def _reverse(self, refund: Payment) -> None:
        """A refund that was settled gives back an earlier payment, whole or in part."""
        original = self.payments.get(refund.original)
        if original is None or refund.state != State.SETTLED:
            return
        given = sum(
            p.amount
            for p in self.payments.values()
            if p.original == refund.original and p.state == State.SETTLED and p.operation != refund.operation
        )
        if given + refund.amount >= original.amount and may_follow(original.state, State.REVERSED):
            original.state = State.REVERSED
            self.save(original)

    def _hand_over(self, payment: Payment, body: P.ReceiptOf) -> None:
        """Give the receipt to the payee, in the people's own conversation."""
        if payment.payer == self._shelf.account and payment.topic:
            copy = msgspec.structs.replace(body, memo=payment.memo)
            payment.handed = self.say(payment.topic, copy) is not None
        self._request_paid(payment.request)

    def _request_paid(self, hash_: bytes) -> None:
        request = self.requests.get(hash_)
        if request is not None and request.state != "paid":
            request.state = "paid"
            self.save_request(request)

    def _incoming(self, body: P.ReceiptOf, statement: Statement) -> None:
        payment = Payment(
            body.operation, body.worker, statement.payer, statement.payee, statement.ledger, statement.exponent,
            statement.amount, statement.at_ms, body.state, memo=body.memo, request=body.request,
            original=body.original, sequence=statement.sequence, receipt=body.receipt,
        )  # fmt: skip
        self._request_paid(payment.request)
        self._reverse(payment)
        self.save(payment)

    def _handed(self, event: Received, body: P.ReceiptOf) -> None:
        """From somebody who paid us: believed as far as the receipt proves it, of a worker that we use."""
        statement = self.checked(body)
        if statement is None:
            return
        if self.home is not None and body.worker == self.home.worker:
            watch = self.watch(body.worker, body.log)
            watch.shown_by_others(decode_struct(body.receipt, Receipt).checkpoint)
            self._save_log(watch)
        known = self.payments.get(body.operation)
        if known is None:
            if (statement.payer, statement.payee) == (event.account, self._shelf.account):
                if self.home is not None and body.worker != self.home.worker:
                    return  # some other worker's word: it moves nothing here
                self._incoming(body, statement)
        elif known.payee == self._shelf.account and known.worker == body.worker:
            known.receipt, known.memo = known.receipt or body.receipt, known.memo or body.memo
            if len(statement.memo) == ORIGINAL_BYTES:
                known.original = statement.memo
                self._reverse(known)
            else:
                known.request = known.request or statement.memo
            if may_follow(known.state, body.state):
                known.state = body.state
            self._request_paid(known.request)
            self.save(known)

    def _came(self, history: P.History) -> None:
        """Lines that the worker tells of: money that came and of which no receipt is here yet."""
        assert self.home is not None
        for entry in history.entries:
            known = self.payments.get(entry.operation)
            if known is not None and known.payee == self._shelf.account and may_follow(known.state, State.SETTLED):
                if entry.amount > 0:
                    known.state, known.sequence = State.SETTLED, entry.sequence
                    self.save(known)
            elif known is None and entry.amount > 0 and entry.kind in ("transfer", "claim"):
                exponent = self.home.accounts.get(entry.ledger, (0, 0, 0, 0))[0]
                self.save(Payment(
                    entry.operation, self.home.worker, entry.other, self._shelf.account, entry.ledger, exponent,
                    entry.amount, entry.at_ms, State.SETTLED, sequence=entry.sequence,
                ))  # fmt: skip
        if history.entries and any(entry.amount for entry in history.entries):
            self.ask_balance()

    def ask_balance(self) -> None:
        """Have the worker tell our balances anew."""
        if self.home is not None:
            self.say(self.home.topic, P.Query(what="balance", checkpoint=self.checkpoint()))

    # -- people --------------------------------------------------------------------------------------------------------
    def _request(self, event: Received, body: P.Request, content: Content) -> None:
        if body.payee != event.account:
            return
        try:
            P.check_request(body)
        except PayError:
            return
        raw = bytes(content.b)
        hash_ = request_hash(body.payee, event.id, raw)
        if hash_ not in self.requests:
            self.save_request(Request(hash_, event.id, event.topic, body.payee, raw, event.ts))

    def _ended(self, event: Received, body: P.Decline | P.Cancel) -> None:
        request = self.requests.get(body.request)
        if request is None or request.topic != event.topic or request.state != "open":
            return
        if isinstance(body, P.Cancel) and event.account == request.payee:
            request.state = "cancelled"
            self.save_request(request)
        elif isinstance(body, P.Decline) and event.account != request.payee:
            request.state = "declined"
            self.save_request(request)

    def _own(self, body: P.Authorize | P.Refund) -> None:
        """What another device of ours has sent."""
        try:
            a, _ = open_authorization(body.signed)
        except PayError:
            return
        operation = operation_id(a.payer, a.id)
        if a.payer == self._shelf.account and operation not in self.payments:
            self.save(Payment(
                operation, a.worker, a.payer, a.payee, a.ledger, a.exponent, a.amount, self._shelf.clock_ms(),
                request=a.request, original=a.original, signed=body.signed,
            ))  # fmt: skip


def _terms(statement: Statement) -> tuple[bytes, bytes, str, int, int, bytes]:
    return (
        statement.payer, statement.payee, statement.ledger, statement.exponent, statement.amount, statement.memo
    )  # fmt: skip


def is_final(payment: Payment) -> bool:
    """Whether no answer of the worker changes it any more, but for a refund."""
    return payment.state in FINAL
