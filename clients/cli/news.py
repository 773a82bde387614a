"""What a typed message without words means, as a sentence: money that is asked for, that came, or did not; games.

The wallet has heard a message before it is told to the application, so the sentence is about what the wallet knows
now, never about what a message merely says.
"""

from __future__ import annotations

from clients.cli.circles import CircleVerbs
from clients.cli.gaming import Gaming
from clients.cli.money import Money
from clients.cli.room import Room, clean, introduction, short
from clients.events import Received
from clients.wallet import Request
from protocol.errors import RemoteProtocolError
from protocol.messages import Body, parse
from protocol.messages import dispute as D
from protocol.messages import packet as K
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.packets import terms_hash
from protocol.payments import operation_id

_TOLD = (State.SETTLED, State.FAILED, State.EXPIRED, State.REVERSED)


class News:
    """Sentences about messages that came."""

    def __init__(
        self, room: Room, money: Money, gaming: Gaming | None = None, circles: CircleVerbs | None = None
    ) -> None:
        self._room = room
        self._money = money
        self._gaming = gaming or Gaming(room)
        self._circles = circles
        self._client = room.client
        self._over: set[bytes] = set()  # red packets whose end was said: the worker and the giver both tell it

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
        if isinstance(body, K.Packet | K.Shares):
            return self._packet(body)
        if isinstance(body, Body) and body.TYPE.startswith("game."):
            return self._gaming.sentence(event)
        if self._circles is not None and isinstance(body, Body) and body.TYPE.startswith("feed."):
            return self._circles.sentence(event, body)
        if isinstance(body, D.Case):
            return self._case(body)
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
        is_ours = payment.payer == self._client.account or payment.request in self._client.wallet.book.pots.packets
        if is_ours and self._money.acting:
            return None
        return self._money.line(payment).strip()

    def _packet(self, body: K.Packet | K.Shares) -> str | None:
        """Shown once to those who may claim, and at its end to all."""
        packet = self._client.wallet.book.pots.packets.get(terms_hash(body.terms))
        if packet is None or (isinstance(body, K.Packet) and packet.over) or packet.hash in self._over:
            return None
        if isinstance(body, K.Packet):
            return f"{self._money.giving.line(packet).strip()}: /claim {short(packet.hash)}"
        self._over.add(packet.hash)
        is_fair = packet.verdict == "fair"
        found = "its shares are what the seed says" if is_fair else f"DO NOT TRUST it: {packet.verdict}"
        return f"the red packet {short(packet.hash)} is over: {found}"

    def _case(self, body: D.Case) -> str | None:
        """What the other one did in a dispute, or how it ended."""
        case = self._client.wallet.book.cases.cases.get(body.payment)
        if case is None or body.by == self._client.account:
            return None
        said = f": {clean(body.text)}" if body.text else ""
        digits = body.payment[:16].hex()[-8:]
        return f"{self._money.disputing.lines(case)[0].strip()}{said}; /dispute {digits} shows more"
