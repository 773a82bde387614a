"""Red packets in a wallet: what was shown to us, what we gave and took, and whether it was what the seed says.

As ``book``: messages are heard inside the vault transaction in which they become events. The payer's client shows a
packet to the people once the worker has set its money aside, and tells them the seed when it is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from clients.engine import Engine
from clients.events import Received
from clients.records import rows
from clients.wallet.records import Home, Payment, may_follow
from protocol.messages import Body
from protocol.messages import packet as K
from protocol.messages.pay import State
from protocol.packets import Claimed, PacketError, Terms, read_terms, recompute, terms_hash
from protocol.payments import PayError
from protocol.shares import ShareError

PACKETS: Final = "packets"  # by hash of the terms


class Packet(msgspec.Struct):
    """A red packet. ``seed`` only where it is known; ``verdict``: empty, ``fair``, or what is wrong with it."""

    hash: bytes
    operation: bytes
    topic: bytes
    payer: bytes
    raw: bytes
    made_ms: int
    memo: str = ""
    seed: bytes = b""
    shown: bool = False
    claim: bytes = b""  # our operation, once we claimed
    claimed: tuple[Claimed, ...] = ()
    over: bool = False
    verdict: str = ""

    @property
    def terms(self) -> Terms:
        """As they came."""
        return read_terms(self.raw)

    def __repr__(self) -> str:
        return f"Packet({self.hash.hex()[:16]}, {'over' if self.over else 'open'})"


class Wallets(Protocol):
    """What packets need of the book that they are in."""

    home: Home | None
    payments: dict[bytes, Payment]
    changed: Callable[[], None]

    def save(self, payment: Payment) -> None: ...

    def say(self, topic: bytes, body: Body) -> bytes | None: ...

    def checkpoint(self) -> bytes: ...


class Pots:
    """Packets by hash of their terms."""

    def __init__(self, engine: Engine, book: Wallets) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        self._book = book
        self.packets = {packet.hash: packet for packet in rows(self._shelf.vault, PACKETS, Packet)}
        self._heard: dict[type[Body], Callable[[Received, K.Packet | K.Shares], None]] = {
            K.Packet: self._packet, K.Shares: self._shares
        }  # fmt: skip

    def save(self, packet: Packet) -> None:
        """Write a packet with the present transaction."""
        self.packets[packet.hash] = packet
        self._shelf.journal.put(PACKETS, packet.hash, packet)
        self._shelf.journal.after(lambda: self._book.changed())

    def heard(self, event: Received, body: Body) -> None:
        """A message of this kind; others are none of ours."""
        action = self._heard.get(type(body))
        if action is not None:
            assert isinstance(body, K.Packet | K.Shares)
            action(event, body)

    def held(self, payment: Payment) -> None:
        """The worker has set money aside, or let it go: if it is for a packet, the people may claim it, or not."""
        packet = self.packets.get(payment.request)
        if packet is None or packet.operation != payment.operation:
            return
        if payment.state == State.EXPIRED:
            packet.over = True
            self.save(packet)
        elif payment.state == State.HELD and not packet.shown:
            body = K.Packet(operation=packet.operation, terms=packet.raw, memo=packet.memo)
            packet.shown = self._book.say(packet.topic, body) is not None
            self.save(packet)

    def funding(self, payment: Payment) -> Body | None:
        """What is sent to the worker for a payment, if it funds a packet."""
        packet = self.packets.get(payment.request)
        if packet is None or not payment.signed or payment.operation != packet.operation:
            return None
        seed = packet.seed if packet.terms.commitment else b""
        return K.Fund(signed=payment.signed, terms=packet.raw, seed=seed, checkpoint=self._book.checkpoint())

    # -- what comes ----------------------------------------------------------------------------------------------------
    def _packet(self, event: Received, body: K.Packet | K.Shares) -> None:
        """Shown by whoever gives it, to those who may claim."""
        assert isinstance(body, K.Packet)
        hash_ = terms_hash(body.terms)
        try:
            terms = read_terms(body.terms)
        except PayError:
            return
        if terms.payer == event.account and hash_ not in self.packets:
            self.save(
                Packet(hash_, body.operation, event.topic, terms.payer, body.terms, event.ts, body.memo, shown=True)
            )

    def _shares(self, event: Received, body: K.Packet | K.Shares) -> None:
        """The end of a packet: from the worker, or from whoever gave it, in the conversation where it was shown."""
        assert isinstance(body, K.Shares)
        packet = self.packets.get(terms_hash(body.terms))
        home = self._book.home
        if packet is None or (packet.over and packet.verdict == "fair") or body.operation != packet.operation:
            return
        from_worker = home is not None and (event.account, event.topic) == (home.worker, home.topic)
        if not from_worker and (event.account, event.topic) != (packet.payer, packet.topic):
            return
        packet.seed, packet.claimed, packet.over = body.seed, body.claimed, True
        packet.verdict = self._judged(packet)
        self._finish(packet)
        if from_worker and packet.payer == self._shelf.account:
            self._book.say(packet.topic, msgspec.structs.replace(body))
        self.save(packet)

    def _judged(self, packet: Packet) -> str:
        try:
            recompute(packet.raw, packet.seed, packet.claimed)
        except (PacketError, PayError, ShareError) as error:
            return str(error)
        mine = self._book.payments.get(packet.claim)
        if mine is not None and mine.receipt:
            told = [c for c in packet.claimed if c.operation == mine.operation]
            if [c.amount for c in told] != [mine.amount]:
                return "your own receipt says something else"
        return "fair"

    def _finish(self, packet: Packet) -> None:
        payment = self._book.payments.get(packet.operation)
        state = State.SETTLED if packet.claimed else State.EXPIRED
        if payment is not None and payment.payer == self._shelf.account and may_follow(payment.state, state):
            payment.state = state
            self._book.save(payment)
