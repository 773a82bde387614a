"""What a worker says of itself, signed by its account.

Which types it consumes and produces, what it keeps, and what one has to believe of it: a client shows it, and may say
whose word it is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.codec import encode_struct
from protocol.identity import SigningKey, verify
from protocol.messages.ext import Manifest

_DOMAIN: Final = b"chappe/v1/manifest\x00"


def _signed(manifest: Manifest, account: bytes) -> bytes:
    parts = (manifest.name, manifest.consumes, manifest.produces, manifest.keeps, manifest.trust, manifest.made_ms)
    return encode_struct((account, *parts))


def sign_manifest(manifest: Manifest, key: SigningKey) -> Manifest:
    """The manifest with the signature of the account whose root key this is."""
    return msgspec.structs.replace(manifest, signature=key.sign(_DOMAIN, _signed(manifest, key.public)))


def is_genuine(manifest: Manifest, account: bytes) -> bool:
    """Whether ``account`` itself said this."""
    return verify(account, _DOMAIN, _signed(manifest, account), manifest.signature)
