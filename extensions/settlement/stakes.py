"""Stakes of matches: held together or not at all, paid as the referee signed once its window has passed. Pure.

A match is one note (``e`` and the hash of its terms) and, while its money is held, a pending of each player to the pot.
Pendings are made as one chain when the last player has authorized, posted and paid out as one chain, voided as one.
``DUE`` is the note of all results whose window is open; the worker looks at it once a tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from extensions.settlement import operations as ops
from extensions.settlement.codes import Code
from extensions.settlement.intents import Asked, Payment, Refusal, authorized, device_refusal
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
from protocol.ids import tagged_hash
from protocol.messages import Body
from protocol.messages import stake as S
from protocol.messages.pay import State
from protocol.packets import pot_of
from protocol.payments import LEDGER_CODES, PayCode, PayError, is_signed, open_authorization, operation_id
from protocol.stakes import StakeTerms, check_stake, open_result, read_stake, stake_hash

DUE: Final = b"e!"
WAITING, HELD, DECIDED, PAID, VOID = range(5)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What a player has put in: the authorization in the bytes that were signed."""

    account: bytes
    operation: bytes
    signed: bytes


class Match(msgspec.Struct, frozen=True, array_like=True):
    """A match as its note has it; ``entries`` in the order of the players once the money is held."""

    raw: bytes
    state: int = WAITING
    entries: tuple[Entry, ...] = ()
    revision: int = 0
    payout: tuple[int, ...] = ()
    attempt: int = 0  # of paying

    @property
    def terms(self) -> StakeTerms:
        """As they came."""
        return read_stake(self.raw)

    @property
    def hash(self) -> bytes:
        """What names it."""
        return stake_hash(self.raw)


_DueList: Final = tuple[tuple[int, bytes], ...]  # (when the window ends, hash)


def note_match(hash_: bytes) -> bytes:
    """The note of a match."""
    return b"e" + hash_


def match_of(notes: Mapping[bytes, bytes], hash_: bytes) -> Match | None:
    """What the notes say about a match."""
    found = notes.get(note_match(hash_))
    return None if found is None else msgspec.msgpack.decode(found, type=Match)


def due_of(value: bytes | None) -> tuple[tuple[int, bytes], ...]:
    """The results whose window is open."""
    return () if value is None else msgspec.msgpack.decode(value, type=_DueList)


def due(value: bytes | None, now_ms: int, worker: bytes) -> list[Deed]:
    """What is to be paid now."""
    nobody = Asked(b"", b"", b"", 0, worker)
    return [Paying(nobody, b"", hash_) for when_ms, hash_ in due_of(value) if when_ms <= now_ms]


def _kept(match: Match) -> tuple[bytes, bytes]:
    return note_match(match.hash), msgspec.msgpack.encode(match)


def _due_note(facts: Facts, hash_: bytes, when_ms: int = 0) -> tuple[bytes, bytes]:
    """The list with this match at its time, or (0) without it."""
    others = tuple(one for one in due_of(facts.notes.get(DUE)) if one[1] != hash_)
    return DUE, msgspec.msgpack.encode((*others, (when_ms, hash_)) if when_ms else others)


def read(asked: Asked, body: Body) -> Deed | Refusal | None:
    """The intent of a message about stakes; None for others."""
    if isinstance(body, S.Result):
        if not asked.is_wallet:
            return Refusal(asked, body.id, PayCode.NOT_IN_WALLET)
        return Deciding(asked, body.id, body.stake, body.signed)
    if not isinstance(body, S.Stake):
        return None
    found = authorized(asked, body.signed)
    if isinstance(found, Refusal):
        return found
    return Staking(asked, found[0].id, Payment(asked, *found, is_signed(found[1])), body.terms, body.signed)


def _tell(entry: Entry, state: State, code: int = 0, re: bytes = b"", result: ops.Result | None = None) -> Answer:
    """To a player, about their stake."""
    sequence, at_ms = (0, 0) if result is None else (result.sequence, result.at_ms)
    return Answer(
        entry.account, re, "status", entry.operation[: L.ID_BYTES], entry.operation, state, code, sequence=sequence,
        at_ms=at_ms,
    )  # fmt: skip


# -- putting in --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Staking(Deed):
    """A player puts their stake in."""

    asked: Asked
    id: bytes
    payment: Payment
    terms: bytes
    signed: bytes
    weight = 1 + L.STAKE_PLAYERS_MAX

    def _players(self) -> set[bytes]:
        try:
            return {player.account for player in read_stake(self.terms).players}
        except PayError:
            return set()

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The match, and what is recorded under the id."""
        return {note_match(stake_hash(self.terms))}, {self.payment.operation}

    def touches(self) -> set[bytes]:
        """The players of a match come one after the other."""
        return {note_match(stake_hash(self.terms)), self.payment.operation}

    def signers(self) -> set[bytes]:
        """All players: whoever was first is looked at again when the last one comes."""
        return self._players() | {self.payment.authorization.payer}

    def judge(self, facts: Facts) -> Verdict:
        """Keep the authorization; the last one has the money of all held."""
        a, hash_ = self.payment.authorization, stake_hash(self.terms)
        match = match_of(facts.notes, hash_) or Match(self.terms)
        record = facts.records.get(self.payment.operation)
        if record is not None:
            return says_only(self._known(record, match, facts))
        code = window_refusal(self.payment, facts)
        if code:
            return says_only(
                status_of(self.asked, self.id, code, State.PENDING if code is PayCode.NOT_YET else State.FAILED)
            )
        try:
            terms = read_stake(self.terms)
            check_stake(terms, hash_, pot_of(hash_), a, facts.now_ms)
        except PayError as error:
            return says_only(status_of(self.asked, self.id, error.code))
        if match.state != WAITING:
            over = match.state in (PAID, VOID)
            return says_only(status_of(self.asked, self.id, PayCode.STAKE_OVER if over else PayCode.STAKE_TWICE))
        mine = Entry(a.payer, self.payment.operation, self.signed)
        good, dropped = self._still_good(match.entries, facts)
        if any(entry.account == a.payer and entry.operation != mine.operation for entry in good):
            return says_only(status_of(self.asked, self.id, PayCode.STAKE_TWICE))
        by_account = {entry.account: entry for entry in (*good, mine)}
        entries = tuple(by_account[p.account] for p in terms.players if p.account in by_account)
        if len(entries) < len(terms.players):
            answers = (*dropped, status_of(self.asked, self.id, 0, State.PENDING))
            kept = _kept(Match(self.terms, WAITING, entries))
            return Verdict(says=lambda results: answers, notes=lambda results: (kept,))
        return self._hold(terms, entries, facts)

    def _still_good(self, entries: tuple[Entry, ...], facts: Facts) -> tuple[list[Entry], tuple[Answer, ...]]:
        """Those whose authorization still holds and whose device is still listed; what the others are told."""
        good, dropped = [], []
        for entry in entries:
            a, signed = open_authorization(entry.signed)
            code = device_refusal(
                Payment(self.asked, a, signed, is_signed(signed)), facts.devices.get(a.payer), facts.now_ms
            )
            if facts.now_ms >= a.expires_ms:
                code = code or PayCode.EXPIRED
            if code:
                dropped.append(_tell(entry, State.FAILED, code))
            else:
                good.append(entry)
        return good, tuple(dropped)

    def _hold(self, terms: StakeTerms, entries: tuple[Entry, ...], facts: Facts) -> Verdict:
        hash_ = stake_hash(self.terms)
        pot = pot_of(hash_)
        first: list[ops.Chain] = []
        if facts.account(terms.ledger, pot) is None:
            first.append((ops.Open(open_id(terms.ledger, pot), pot, terms.ledger),))
        pendings = tuple(
            ops.Pending(
                entry.operation, entry.account, pot, terms.ledger, terms.exponent, player.amount, terms.expires_ms,
                hash_,
            )
            for player, entry in zip(terms.players, entries, strict=True)
        )  # fmt: skip

        def told(entry: Entry, result: ops.Result) -> Answer:
            re = self.asked.id if entry.account == self.asked.account else b""
            if result.code:
                return _tell(entry, State.FAILED, LEDGER_CODES + result.code, re, result)
            return _tell(entry, State.HELD, 0, re, result)

        def says(results: Results) -> tuple[Answer, ...]:
            return tuple(map(told, entries, results[-1]))

        def notes(results: Results) -> Notes:
            is_held = results[-1][0].code is Code.OK
            return (_kept(Match(self.terms, HELD, entries) if is_held else Match(self.terms)),)

        return Verdict((*first, pendings), says, notes)

    def _known(self, record: ops.Record, match: Match, facts: Facts) -> Answer:
        operation, a = record.operation, self.payment.authorization
        entry = Entry(self.asked.account, self.payment.operation, b"")
        if not isinstance(operation, ops.Pending) or (operation.credit, operation.memo) != (a.payee, a.request):
            return status_of(self.asked, self.id, PayCode.ID_REUSED)
        if record.code:
            return _tell(entry, State.FAILED, LEDGER_CODES + record.code, self.asked.id)
        if match.state == PAID:
            return _tell(entry, State.SETTLED, 0, self.asked.id)
        if facts.held(self.payment.operation) is None:
            return _tell(entry, State.EXPIRED, PayCode.STAKE_VOID * (match.state == VOID), self.asked.id)
        return _tell(entry, State.HELD, 0, self.asked.id)


# -- what the referee says ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Deciding(Deed):
    """Somebody shows what the referee has signed."""

    asked: Asked
    id: bytes
    stake: bytes
    signed: bytes
    weight = L.STAKE_PLAYERS_MAX

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The match, and the list of open windows."""
        return {note_match(self.stake), DUE}, set()

    def touches(self) -> set[bytes]:
        """The same: all results come one after the other."""
        return {note_match(self.stake), DUE}

    def judge(self, facts: Facts) -> Verdict:
        """Begin the window, replace a result, or give all back."""
        match = match_of(facts.notes, self.stake)
        if match is None or match.state == WAITING:
            return self._refuse(PayCode.STAKE_NOT_FOUND)
        terms = match.terms
        try:
            result = open_result(self.signed, terms, self.stake)
        except PayError as error:
            return self._refuse(error.code)
        if match.state in (PAID, VOID) or facts.now_ms >= terms.expires_ms:
            return self._refuse(PayCode.STAKE_OVER)
        if match.state == DECIDED:
            if result.revision < match.revision:
                return self._refuse(PayCode.RESULT_OLD)
            if result.revision == match.revision:
                if result.payout == match.payout:
                    return self._refuse(PayCode.OK, State.PENDING)
                return self._void(match, facts, PayCode.RESULT_CONFLICT)
        if not result.payout:
            return self._void(match, facts, PayCode.OK)
        if len(due_of(facts.notes.get(DUE))) >= L.STAKES_DUE_MAX:
            return self._refuse(PayCode.INTERNAL, State.UNKNOWN)
        decided = Match(match.raw, DECIDED, match.entries, result.revision, result.payout)
        # Paid before it would expire, even if the referee spoke so late that the window is cut short.
        when_ms = min(facts.now_ms + terms.window_ms, terms.expires_ms - L.STAKE_MARGIN_MS)
        notes = (_kept(decided), _due_note(facts, self.stake, max(facts.now_ms, when_ms)))
        answer = status_of(self.asked, self.id, PayCode.OK, State.PENDING)
        return Verdict(says=lambda results: (answer,), notes=lambda results: notes)

    def _refuse(self, code: PayCode, state: State = State.FAILED) -> Verdict:
        return says_only(status_of(self.asked, self.id, code, state))

    def _void(self, match: Match, facts: Facts, code: PayCode) -> Verdict:
        chain = tuple(ops.Void(tagged_hash("pay/void", (e.operation,)), e.operation) for e in match.entries)
        notes = (
            _kept(Match(match.raw, VOID, match.entries, match.revision, match.payout)),
            _due_note(facts, self.stake),
        )

        def says(results: Results) -> tuple[Answer, ...]:
            if any(result.code is not Code.OK for result in results[0]):
                return (status_of(self.asked, self.id, PayCode.STAKE_OVER),)
            state = State.FAILED if code else State.SETTLED
            told = [_tell(e, State.EXPIRED, PayCode.STAKE_VOID, result=results[0][0]) for e in match.entries]
            return (status_of(self.asked, self.id, code, state), *told)

        return Verdict((chain,), says, lambda results: notes)


@dataclass(frozen=True, slots=True)
class Paying(Deed):
    """The window of a result has passed. The worker asks this of itself."""

    asked: Asked
    id: bytes
    stake: bytes
    weight = 2 * L.STAKE_PLAYERS_MAX

    def keys(self) -> tuple[set[bytes], set[bytes]]:
        """The match, and the list of open windows."""
        return {note_match(self.stake), DUE}, set()

    def touches(self) -> set[bytes]:
        """The same."""
        return {note_match(self.stake), DUE}

    def judge(self, facts: Facts) -> Verdict:
        """Post what was held, and pay it out."""
        match = match_of(facts.notes, self.stake)
        if match is None or match.state != DECIDED:
            gone = _due_note(facts, self.stake)
            return Verdict(notes=lambda results: (gone,))
        terms, pot, nonce = match.terms, pot_of(self.stake), match.attempt.to_bytes(8, "big")
        posts = tuple(ops.Post(claim_id(e.operation + nonce), e.operation) for e in match.entries)
        payouts = tuple(
            ops.Transfer(
                operation_id(player.account, tagged_hash("pay/payout", (self.stake, nonce))[: L.ID_BYTES]), pot,
                player.account, terms.ledger, terms.exponent, amount, self.stake,
            )
            for player, amount in zip(terms.players, match.payout, strict=True)
            if amount
        )  # fmt: skip

        def says(results: Results) -> tuple[Answer, ...]:
            return _paid(match, payouts, results[0]) if results[0][0].code is Code.OK else ()

        def notes(results: Results) -> Notes:
            codes = {result.code for result in results[0]}
            if codes == {Code.OK}:
                return (_kept(msgspec.structs.replace(match, state=PAID)), _due_note(facts, self.stake))
            if facts.now_ms >= terms.expires_ms:
                return (_kept(msgspec.structs.replace(match, state=VOID)), _due_note(facts, self.stake))
            again = msgspec.structs.replace(match, attempt=match.attempt + 1)
            return (_kept(again), _due_note(facts, self.stake, facts.now_ms + L.STAKE_RETRY_MS))

        return Verdict(((*posts, *payouts),), says, notes)


def _paid(match: Match, payouts: tuple[ops.Transfer, ...], results: tuple[ops.Result, ...]) -> tuple[Answer, ...]:
    told = [
        Answer(e.account, b"", "receipt", e.operation[: L.ID_BYTES], e.operation, State.SETTLED, 0, match.terms.ledger,
               result.amount, result.sequence, result.at_ms, match.hash)
        for e, result in zip(match.entries, results, strict=False)
    ]  # fmt: skip
    told += [
        Answer(p.credit, b"", "receipt", p.id[: L.ID_BYTES], p.id, State.SETTLED, 0, p.ledger, p.amount,
               result.sequence, result.at_ms, p.memo)
        for p, result in zip(payouts, results[len(match.entries) :], strict=True)
    ]  # fmt: skip
    return tuple(told)
