"""Red packets: an amount, set aside for the members of a conversation, of which each takes one share.

The *terms* are what everybody sees; their hash names the packet, its *pot* (the ledger account that holds the money)
and what the payer's device signs (``payments.Authorization``: payee = pot, request = hash of the terms). The shares
follow from the terms and, of a random one, from a seed to which the terms commit; the first to claim gets the first
share, and so on. When the packet is finished the seed is told, and anybody computes the shares anew with ``recompute``
and compares with what was claimed. Pure.

The payer knows the seed from the beginning and the worker while the packet is open: neither can change a share without
being found out, and nobody can choose who comes when. Until it is finished nobody else knows a share not taken yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocol import limits as L
from protocol.codec import decode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Key, UInt
from protocol.ids import tagged_hash
from protocol.payments import Authorization, PayCode, PayError
from protocol.shares import at_random, evenly

SEED_BYTES: Final = 32


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """A packet. ``amount`` in minor units, ``expires_ms`` Unix time; ``commitment`` is empty for even shares."""

    worker: Key
    payer: Key
    ledger: Annotated[str, Meta(max_length=L.LEDGER_NAME_CHARS_MAX)]
    exponent: int
    amount: int
    shares: int
    expires_ms: int
    commitment: Annotated[bytes, Meta(max_length=L.KEY_BYTES)]
    nonce: Annotated[bytes, Meta(max_length=L.ID_BYTES)]
    members: Annotated[tuple[Key, ...], Meta(max_length=L.PACKET_SHARES_MAX)]


class Claimed(msgspec.Struct, frozen=True, array_like=True):
    """A share that was taken; ``operation`` is that of the transfer, whose receipt the claimer has."""

    member: Key
    amount: UInt
    operation: Annotated[bytes, Meta(max_length=L.LEDGER_ID_BYTES_MAX)]


class PacketError(ChappeError):
    """What was claimed of a packet is not what its terms and its seed say."""


def commitment_of(seed: bytes) -> bytes:
    """What the terms say about the seed."""
    return tagged_hash("pay/seed", (seed,))


def terms_hash(terms: bytes) -> bytes:
    """What names a packet: over the bytes of its terms as they came."""
    return tagged_hash("pay/packet", (terms,))


def pot_of(hash_: bytes) -> bytes:
    """The ledger account that holds what is named by this hash; nobody has a key of it."""
    return tagged_hash("pay/pot", (hash_,))


def read_terms(data: bytes) -> Terms:
    """Raises ``PayError``."""
    try:
        return decode_struct(data, Terms)
    except RemoteProtocolError:
        raise PayError(PayCode.PACKET_MISMATCH) from None


def shares_of(terms: Terms, seed: bytes) -> tuple[int, ...]:
    """The shares in the order in which they are claimed. Raises ``PayError``."""
    if not 1 <= terms.shares <= L.PACKET_SHARES_MAX:
        raise PayError(PayCode.SHARES_INVALID)
    if terms.amount < terms.shares:
        raise PayError(PayCode.SHARES_TOO_MANY)
    if not terms.commitment and not seed:
        return evenly(terms.amount, terms.shares)
    if len(seed) != SEED_BYTES or commitment_of(seed) != terms.commitment:
        raise PayError(PayCode.SEED_WRONG)
    return at_random(terms.amount, terms.shares, seed)


def check_funding(terms: Terms, hash_: bytes, seed: bytes, a: Authorization) -> tuple[int, ...]:
    """The shares of a packet that is paid with an authorization. Raises ``PayError``, with the lowest code."""
    named = (terms.worker, terms.payer, pot_of(hash_), hash_, terms.ledger, terms.exponent, terms.amount)
    signed = (a.worker, a.payer, a.payee, a.request, a.ledger, a.exponent, a.amount)
    if named != signed or a.original or len(set(terms.members)) != len(terms.members) or not terms.members:
        raise PayError(PayCode.PACKET_MISMATCH)
    return shares_of(terms, seed)


def recompute(data: bytes, seed: bytes, claimed: Sequence[Claimed]) -> tuple[int, ...]:
    """All shares of a packet of which some were claimed, after comparing. Raises ``PacketError``, ``PayError``."""
    terms = read_terms(data)
    shares = shares_of(terms, seed)
    members = [claim.member for claim in claimed]
    if len(set(members)) != len(members) or not set(members) <= set(terms.members):
        raise PacketError("somebody claimed twice, or was no member of the packet")
    if [claim.amount for claim in claimed] != list(shares[: len(claimed)]):
        raise PacketError("what was claimed is not what the seed says")
    return shares
