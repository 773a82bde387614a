"""What a typed message without words means, as a sentence: money that is asked for, that came, or that did not.

The wallet has heard a message before it is told to the application, so the sentence is about what the wallet knows
now, never about what a message merely says.
"""

from __future__ import annotations

from clients.cli.money import Money
from clients.cli.room import Room, clean, introduction, short
from clients.events import Received
from clients.wallet import Request
from protocol.errors import RemoteProtocolError
from protocol.messages import parse
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.payments import operation_id

_TOLD = (State.SETTLED, State.FAILED, State.EXPIRED, State.REVERSED)


class News:
    """Sentences about messages that came."""

    def __init__(self, room: Room, money: Money) -> None:
        self._room = room
        self._money = money
        self._client = room.client

    def sentence(self, event: Received) -> str | None:
        """What to show for a message; None: nothing."""
        try:
            body = parse(event.content).body
        except RemoteProtocolError:
            return None
        if isinstance(body, P.Request):
            found = [request for request in self._client.wallet.requests if request.id == event.id]
            return self._asked(found[0]) if found and found[0].state == "open" else None
        if isinstance(body, P.Decline | P.Cancel):
            return self._ended(event, body)
        if isinstance(body, P.ReceiptOf):
            return self._payment(body.operation)
        if isinstance(body, P.Status) and body.state in _TOLD:
            return self._payment(operation_id(self._client.account, body.id))
        return introduction(event.content, event.account)

    def _asked(self, request: Request) -> str:
        digits = short(request.hash)
        return f"{self._money.asked(request)}: /pay {digits} pays it, /decline {digits} does not"

    def _ended(self, event: Received, body: P.Decline | P.Cancel) -> str:
        done = "will not pay" if isinstance(body, P.Decline) else "takes back"
        why = f": {clean(body.reason)}" if isinstance(body, P.Decline) and body.reason else ""
        return f"{self._room.name_of(event.account)} {done} {short(body.request)}{why}"

    def _payment(self, operation: bytes) -> str | None:
        """The worker and the payer both hand a receipt over, and a verb may have said it: it is said once."""
        payment = self._client.wallet.book.payments.get(operation)
        if payment is None or self._money.told.get(operation) == payment.state:
            return None
        if payment.payer == self._client.account and self._money.acting:
            return None
        return self._money.line(payment).strip()
