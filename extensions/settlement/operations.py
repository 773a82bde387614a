"""What may be asked of the ledger, and what it remembers of it. Everything here is a value and goes into the journal.

Amounts are integers in minor units; ``exponent`` says how many digits those are, so that no amount can be read wrongly.
``id`` is the idempotency key: 1 to 64 bytes, given by whoever asks. Whoever serves several payers puts the payer into
it (``payer_id``), or one could use up the ids of another. ``memo`` is opaque to the ledger.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from extensions.settlement.codes import Code
from protocol.ids import tagged_hash


class Kind(IntEnum):
    """What bounds an account."""

    PERSON = 0  # debits must not exceed credits: what everybody has
    RAIL = 1  # credits must not exceed debits: where money comes from and goes to


class Base(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What every operation begins with."""

    id: bytes


class OpenLedger(Base, frozen=True, array_like=True, gc=False, tag=1):
    """Begin a ledger: a currency with its exponent of ISO 4217, or credits with any."""

    ledger: str
    exponent: int


class Open(Base, frozen=True, array_like=True, gc=False, tag=2):
    """Open an account. Limits: ``amount_max`` of one debit, ``balance_max`` that it may hold; 0 = none."""

    owner: bytes
    ledger: str
    kind: int = Kind.PERSON
    amount_max: int = 0
    balance_max: int = 0


class SetLimits(Base, frozen=True, array_like=True, gc=False, tag=3):
    """Change the limits of an account; what it holds already stays."""

    owner: bytes
    ledger: str
    amount_max: int
    balance_max: int


class Freeze(Base, frozen=True, array_like=True, gc=False, tag=4):
    """Nothing moves from or to the account; pendings may still be voided and expire."""

    owner: bytes
    ledger: str


class Unfreeze(Base, frozen=True, array_like=True, gc=False, tag=5):
    """Undo a freeze."""

    owner: bytes
    ledger: str


class Close(Base, frozen=True, array_like=True, gc=False, tag=6):
    """Close an account that holds nothing and has nothing pending, for good."""

    owner: bytes
    ledger: str


class Moving(Base, frozen=True, array_like=True, gc=False):
    """What operations that move money at once have in common."""

    debit: bytes
    credit: bytes
    ledger: str
    exponent: int
    amount: int
    memo: bytes = b""


class Transfer(Moving, frozen=True, array_like=True, gc=False, tag=7):
    """Move money between two people, at once."""


class Issue(Moving, frozen=True, array_like=True, gc=False, tag=8):
    """Put money into circulation: ``debit`` is a rail account, ``credit`` a person's."""


class Redeem(Moving, frozen=True, array_like=True, gc=False, tag=9):
    """Take money out of circulation: ``debit`` is a person's account, ``credit`` a rail's."""


class Pending(Base, frozen=True, array_like=True, gc=False, tag=10):
    """Reserve money until it is posted, voided, or ``expires_ms`` (Unix time) comes."""

    debit: bytes
    credit: bytes
    ledger: str
    exponent: int
    amount: int
    expires_ms: int
    memo: bytes = b""


class Post(Base, frozen=True, array_like=True, gc=False, tag=11):
    """Complete a pending with all of it (``amount`` None) or part; the rest is released."""

    pending: bytes
    amount: int | None = None
    memo: bytes = b""


class Void(Base, frozen=True, array_like=True, gc=False, tag=12):
    """Release a pending."""

    pending: bytes
    memo: bytes = b""


class Expire(Base, frozen=True, array_like=True, gc=False, tag=13):
    """What the ledger itself does when the time of a pending has come; its id is empty. Nobody can ask for it."""

    pending: bytes


Operation = (
    OpenLedger
    | Open
    | SetLimits
    | Freeze
    | Unfreeze
    | Close
    | Transfer
    | Issue
    | Redeem
    | Pending
    | Post
    | Void
    | Expire
)
Chain = tuple[Operation, ...]  # all or nothing; one operation alone is a chain of one


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One line of the journal: an operation and what came of it. Its bytes are the receipt."""

    sequence: int  # from 1, without gaps
    at_ms: int  # the ledger's time
    code: int
    amount: int  # moved, held or released, in minor units
    operation: Operation
    chain: bytes = b""  # id of the first operation of its chain, if that has more than one
    place: int = 0  # in the chain, from 0
    length: int = 1  # of the chain


class Result(msgspec.Struct, frozen=True, gc=False):
    """What the caller learns; the same for every retry. ``sequence`` 0: not recorded."""

    code: Code
    sequence: int = 0
    at_ms: int = 0
    amount: int = 0
    field: str = ""  # with ID_REUSED: the first field that differs


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Record)
encode_record = _encoder.encode
decode_record = _decoder.decode


def result_of(record: Record) -> Result:
    """The result that a record stands for."""
    return Result(Code(record.code), record.sequence, record.at_ms, record.amount)


def first_difference(record: Record, operation: Operation, chain: bytes, place: int, length: int) -> str:
    """The first field in which an operation differs from the recorded one of the same id; empty if in none."""
    known = record.operation
    if type(known) is not type(operation):
        return "kind"
    if known != operation:
        return next(name for name in operation.__struct_fields__ if getattr(known, name) != getattr(operation, name))
    return "" if (record.chain, record.place, record.length) == (chain, place, length) else "chain"


def payer_id(payer: bytes, id_: bytes) -> bytes:
    """The operation id of a payer's message: time first, so that ids near in time lie near each other in the index."""
    return id_ + payer


def rail_account(name: str) -> bytes:
    """The owner of a rail's accounts (a bank, a card processor, the operator's mint), by the rail's name."""
    return tagged_hash("ledger/rail", (name.encode(),))
