"""What a ranker signs: weights, pages, briefings, models. The signature is over the received bytes."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError
from protocol.frames import Key, Signature
from protocol.identity import SigningKey, verify

T = TypeVar("T", bound=msgspec.Struct)


class ScoringError(ChappeError):
    """A page, weights file or model that does not hold; the text says why."""


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    signer: Key
    signature: Signature


def seal(document: msgspec.Struct, domain: bytes, key: SigningKey) -> bytes:
    """A document as signed bytes; ``domain`` tells its kind from every other."""
    body = encode_struct(document)
    return encode_struct(_Signed(body, key.public, key.sign(domain, body)))


def unseal(data: bytes, domain: bytes, signer: bytes, type_: type[T], this_is: str) -> T:
    """The document that ``signer`` signed. Raises ``ScoringError`` or ``RemoteProtocolError``.

    ``this_is``: subject and verb of the error, such as "this page is".
    """
    signed = decode_struct(data, _Signed)
    if signed.signer != signer or not verify(signer, domain, signed.body, signed.signature):
        raise ScoringError(f"{this_is} not signed by this ranker")
    return decode_struct(signed.body, type_)
