"""Red packets: from a funding or a claim and the facts to operations of the ledger. Pure, but for reading ``told``.

A packet of n shares is n pendings from the payer to the pot, linked, which expire together: what nobody takes goes back
by the ledger's own expiry. A claim is a chain of two: post the next pending, transfer its money from the pot to the
claimer. So at no time is there more or less money than before, and no share can be taken twice.

Notes: ``p`` and the packet's operation: (terms, seed); ``q`` and the same: what was claimed, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from extensions.settlement import operations as ops
from extensions.settlement.books import Books
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Payment, Refusal, authorized
from extensions.settlement.judge import (
    Answer,
    Deed,
    Facts,
    Notes,
    Results,
    Verdict,
    claim_id,
    open_id,
    says_only,
    status_of,
    window_refusal,
)
from protocol import limits as L
from protocol.messages import Body
from protocol.messages import packet as K
from protocol.messages.pay import State
from protocol.packets import Claimed, Terms, check_funding, pot_of, read_terms, shares_of, terms_hash
from protocol.payments import LEDGER_CODES, ORIGINAL_BYTES, PayCode, PayError, is_signed, operation_id


def note_packet(packet: bytes) -> bytes:
    """The note that keeps a packet's terms and seed."""
    return b"p" + packet


def note_claims(packet: bytes) -> bytes:
    """The note that keeps what was claimed of it."""
    return b"q" + packet


def share_id(packet: bytes, place: int) -> bytes:
    """The id of the pending of a share; the first one's is that of the packet."""
    return packet + bytes([place]) if place else packet


@dataclass(frozen=True, slots=True)
class Kept:
    """A packet as the notes have it."""

    terms: Terms
    raw: bytes
    seed: bytes
    claimed: tuple[Claimed, ...]

    @property
    def shares(self) -> tuple[int, ...]:
        """In the order in which they are claimed."""
        return shares_of(self.terms, self.seed)

    def is_over(self, now_ms: int) -> bool:
        """Whether nothing can be claimed any more."""
        return len(self.claimed) == self.terms.shares or now_ms >= self.terms.expires_ms


_Terms: Final = tuple[bytes, bytes]
_decode_claims: Final = msgspec.msgpack.Decoder(tuple[Claimed, ...]).decode


def kept(notes: Mapping[bytes, bytes], packet: bytes) -> Kept | None:
    """What the notes say about a packet."""
    found = notes.get(note_packet(packet))
    if found is None:
        return None
    raw, seed = msgspec.msgpack.decode(found, type=_Terms)
    claims = notes.get(note_claims(packet))
    return Kept(read_terms(raw), raw, seed, () if claims is None else _decode_claims(claims))


def read(asked: Asked, body: Body) -> Deed | Refusal | None:
    """The intent of a message about packets; None for others."""
    if isinstance(body, K.Claim):
        if not asked.is_wallet:
            return Refusal(asked, body.id, PayCode.NOT_IN_WALLET)
        return Claiming(asked, body.id, body.operation)
    if not isinstance(body, K.Fund):
        return None
    found = authorized(asked, body.signed)
    if isinstance(found, Refusal):
        return found
    return Funding(asked, found[0].id, Payment(asked, *found, is_signed(found[1])), body.terms, body.seed)


# -- funding -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Funding(Deed):
    """A packet is to be funded. ``payment``: what the payer's device signed, to the pot."""

    asked: Asked
    id: bytes
    payment: Payment
    terms: bytes
    seed: bytes
    weight = 1 + L.PACKET_SHARES_MAX

    @property
    def _count(self) -> int:
        try:
            return min(max(read_terms(self.terms).shares, 1), L.PACKET_SHARES_MAX)
        except PayError:
            return 1

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """All its shares, which tell whether it was funded before."""
        packet = self.payment.operation
        return {note_packet(packet), note_claims(packet)}, {share_id(packet, place) for place in range(self._count)}

    def touches(self) -> set[bytes]:
        """Its id."""
        return {self.payment.operation}

    def signers(self) -> set[bytes]:
        """The payer."""
        return {self.payment.authorization.payer}

    def judge(self, facts: Facts) -> Verdict:
        """Set the money aside."""
        packet, a = self.payment.operation, self.payment.authorization
        if packet in facts.records:
            return says_only(self._known(facts))
        code = window_refusal(self.payment, facts)
        if code:
            return self._refuse(code, State.PENDING if code is PayCode.NOT_YET else State.FAILED)
        try:
            terms = read_terms(self.terms)
            shares = check_funding(terms, terms_hash(self.terms), self.seed, a)
        except PayError as error:
            return self._refuse(error.code)
        if not facts.now_ms < terms.expires_ms <= facts.now_ms + L.PACKET_MS + L.PACKET_SKEW_MS:
            return self._refuse(PayCode.PACKET_LIFE_INVALID)
        first: list[ops.Chain] = []
        if facts.account(a.ledger, a.payee) is None:
            first.append((ops.Open(open_id(a.ledger, a.payee), a.payee, a.ledger),))
        pendings = tuple(
            ops.Pending(share_id(packet, n), a.payer, a.payee, a.ledger, a.exponent, share, terms.expires_ms, a.request)
            for n, share in enumerate(shares)
        )
        return Verdict((*first, pendings), self._says, self._notes)

    def _refuse(self, code: int, state: State = State.FAILED) -> Verdict:
        return says_only(status_of(self.asked, self.id, code, state))

    def _says(self, results: Results) -> tuple[Answer, ...]:
        return (self._answer([result.code for result in results[-1]], results[-1][0]),)

    def _answer(self, codes: list[Code], first: ops.Result) -> Answer:
        a = self.payment.authorization
        why = next((code for code in codes if code not in (Code.OK, Code.LINKED_FAILED)), codes[0])
        if why is Code.INTERNAL:
            return status_of(self.asked, a.id, PayCode.INTERNAL, State.UNKNOWN)
        state = State.FAILED if why else State.HELD
        return Answer(
            self.asked.account, self.asked.id, "status", a.id, self.payment.operation, state,
            LEDGER_CODES + why if why else 0, a.ledger, a.amount, first.sequence, first.at_ms,
        )  # fmt: skip

    def _notes(self, results: Results) -> Notes:
        if results[-1][0].code is not Code.OK:
            return ()
        value = msgspec.msgpack.encode((self.terms, self.seed))
        return ((note_packet(self.payment.operation), value),)

    def _known(self, facts: Facts) -> Answer:
        """What is recorded; the id may stand for something else."""
        packet, a = self.payment.operation, self.payment.authorization
        records = [facts.records.get(share_id(packet, place)) for place in range(self._count)]
        for record in records:
            operation = None if record is None else record.operation
            if not isinstance(operation, ops.Pending) or (operation.credit, operation.memo) != (a.payee, a.request):
                return status_of(self.asked, a.id, PayCode.ID_REUSED)
        found = [ops.result_of(record) for record in records if record is not None]
        answer = self._answer([result.code for result in found], found[0])
        found_packet = kept(facts.notes, packet)
        is_over = found_packet is not None and found_packet.is_over(facts.now_ms)
        return msgspec.structs.replace(answer, kind="shares") if is_over else answer


# -- claiming ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Claiming(Deed):
    """Somebody wants their share."""

    asked: Asked
    id: bytes
    packet: bytes
    weight = 2

    @property
    def operation(self) -> bytes:
        """The transfer's id."""
        return operation_id(self.asked.account, self.id)

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The packet, and whether this claim was made before."""
        return {note_packet(self.packet), note_claims(self.packet)}, {self.operation}

    def touches(self) -> set[bytes]:
        """Claims of one packet come one after the other."""
        return {note_claims(self.packet), self.operation}

    def judge(self, facts: Facts) -> Verdict:
        """Give the next share."""
        packet = kept(facts.notes, self.packet)
        known = facts.records.get(self.operation)
        if known is not None:
            return says_only(self._known(known, packet))
        if packet is None:
            return says_only(status_of(self.asked, self.id, PayCode.PACKET_NOT_FOUND))
        code = self._refused(packet, facts)
        if code:
            answers = [status_of(self.asked, self.id, code)]
            if packet.is_over(facts.now_ms) and self.asked.account in packet.terms.members:
                answers.append(_shares(self.asked.account, self.packet))
            return Verdict(says=lambda results: tuple(answers))
        return self._give(packet)

    def _refused(self, packet: Kept, facts: Facts) -> PayCode:
        account, terms = self.asked.account, packet.terms
        if facts.account(terms.ledger, account) is None:
            return PayCode.WALLET_NOT_OPEN
        if account not in terms.members:
            return PayCode.PACKET_NOT_YOURS
        if account in {claim.member for claim in packet.claimed}:
            return PayCode.PACKET_CLAIMED
        if len(packet.claimed) == terms.shares:
            return PayCode.PACKET_EMPTY
        return PayCode.PACKET_EXPIRED if facts.now_ms >= terms.expires_ms else PayCode.OK

    def _give(self, packet: Kept) -> Verdict:
        place, terms, hash_ = len(packet.claimed), packet.terms, terms_hash(packet.raw)
        pending, share = share_id(self.packet, place), packet.shares[place]
        post = ops.Post(claim_id(pending + self.operation), pending)
        give = ops.Transfer(
            self.operation, pot_of(hash_), self.asked.account, terms.ledger, terms.exponent, share, hash_
        )
        claimed = (*packet.claimed, Claimed(self.asked.account, share, self.operation))

        def says(results: Results) -> tuple[Answer, ...]:
            answers = [self._answer(give, results[0][1])]
            if len(claimed) == terms.shares and results[0][1].code is Code.OK:
                told = {terms.payer, *(claim.member for claim in claimed)}
                answers += [_shares(account, self.packet) for account in sorted(told)]
            return tuple(answers)

        def notes(results: Results) -> Notes:
            if results[0][1].code is not Code.OK:
                return ()
            return ((note_claims(self.packet), msgspec.msgpack.encode(claimed)),)

        return Verdict(((post, give),), says, notes)

    def _known(self, record: ops.Record, packet: Kept | None) -> Answer:
        operation = record.operation
        if (
            packet is None
            or not isinstance(operation, ops.Transfer)
            or (operation.debit, operation.credit) != (pot_of(terms_hash(packet.raw)), self.asked.account)
        ):
            return status_of(self.asked, self.id, PayCode.ID_REUSED)
        return self._answer(operation, ops.result_of(record))

    def _answer(self, give: ops.Transfer, result: ops.Result) -> Answer:
        if result.code is Code.INTERNAL:
            return status_of(self.asked, self.id, PayCode.INTERNAL, State.UNKNOWN)
        if result.code is not Code.OK:
            return status_of(self.asked, self.id, LEDGER_CODES + result.code)
        return Answer(
            self.asked.account, self.asked.id, "receipt", self.id, give.id, State.SETTLED, 0, give.ledger, give.amount,
            result.sequence, result.at_ms, give.memo,
        )  # fmt: skip


def _shares(to: bytes, packet: bytes) -> Answer:
    return Answer(to, b"", "shares", packet[: L.ID_BYTES], packet)


# -- when it is over ---------------------------------------------------------------------------------------------------
def is_share(pending: bytes) -> bool:
    """Whether a pending that expired is a share of a packet other than the first, which speaks for itself."""
    return len(pending) == ORIGINAL_BYTES + 1


async def told(books: Books, operation: bytes) -> K.Shares | None:
    """What is said when a packet is over; None if another pending of it says so. Raises ``StoreAway``."""
    packet = operation[:ORIGINAL_BYTES]
    found = kept(await books.cursors({note_packet(packet), note_claims(packet)}), packet)
    if found is None or (is_share(operation) and operation[-1] != found.terms.shares - 1):
        return None
    return K.Shares(operation=packet, terms=found.raw, seed=found.seed, claimed=found.claimed)
