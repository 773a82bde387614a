"""Codes that people carry from one device to another: read aloud, typed or scanned, and checked before they are used.

Base32 without padding, in groups of four, upper or lower case; the last ten bits are a checksum, so a slip is found at
once. A link code holds no secret that lasts: its rendezvous secret is good for one linking within ten minutes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import Final

from protocol.errors import ChappeError
from protocol.limits import CONTACT_TOKEN_BYTES, KEY_BYTES

SECRET_BYTES: Final = 16
RECOVERY_BYTES: Final = 16
_CHECK_BYTES: Final = 2
_LINK: Final = "chappe-link"
_RECOVERY: Final = "chappe-recovery"
_INVITE: Final = "chappe-invite"


class BadCode(ChappeError):
    """A code that is incomplete, mistyped or of another kind; the text says so."""


@dataclass(frozen=True, slots=True)
class LinkCode:
    """What a new device shows: its keys, and the secret under which both meet at the relay."""

    device: bytes
    inbox_key: bytes
    secret: bytes = field(repr=False)

    def text(self) -> str:
        """The code as shown."""
        return _write(_LINK, self.device + self.inbox_key + self.secret)

    @classmethod
    def read(cls, text: str) -> LinkCode:
        """Raises ``BadCode``."""
        data = _read(_LINK, text, 2 * KEY_BYTES + SECRET_BYTES)
        return cls(data[:KEY_BYTES], data[KEY_BYTES : 2 * KEY_BYTES], data[2 * KEY_BYTES :])


def recovery_text(secret: bytes) -> str:
    """A recovery code as shown, once."""
    return _write(_RECOVERY, secret)


def read_recovery(text: str) -> bytes:
    """The secret in a recovery code. Raises ``BadCode``."""
    return _read(_RECOVERY, text, RECOVERY_BYTES)


def invite_text(account: bytes, token: bytes) -> str:
    """A link by which somebody reaches ``account`` without being a stranger."""
    return _write(_INVITE, account + token)


def is_invite(text: str) -> bool:
    """Whether a text claims to be an invitation."""
    return text.strip().lower().startswith(_INVITE + ":")


def read_invite(text: str) -> tuple[bytes, bytes]:
    """(account, token) of an invitation. Raises ``BadCode``."""
    data = _read(_INVITE, text, KEY_BYTES + CONTACT_TOKEN_BYTES)
    return data[:KEY_BYTES], data[KEY_BYTES:]


def _check(kind: str, data: bytes) -> bytes:
    return hashlib.sha256(kind.encode() + b"\0" + data).digest()[:_CHECK_BYTES]


def _write(kind: str, data: bytes) -> str:
    letters = base64.b32encode(data + _check(kind, data)).decode().rstrip("=")
    return kind + ":" + "-".join(letters[i : i + 4] for i in range(0, len(letters), 4))


def _read(kind: str, text: str, size: int) -> bytes:
    name, colon, rest = text.strip().rpartition(":")
    if colon and name.lower() != kind:
        raise BadCode(f"this is no code of the kind that is wanted here ({kind})")
    letters = rest.upper().replace("-", "").replace(" ", "").replace("0", "O").replace("1", "I").replace("8", "B")
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size + _CHECK_BYTES or _check(kind, data[:size]) != data[size:]:
        raise BadCode("the code is incomplete or mistyped; compare it letter by letter, or show a new one")
    return data[:size]
