"""What can go wrong in the MLS core, sorted by what the caller should do about it."""

from __future__ import annotations


class MlsError(Exception):
    """Base of all errors of `protocol.mls`; never raised itself.

    `reason` is a short English phrase that names the failed rule. It holds no secret and no content.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class VoidCommit(MlsError):
    """A commit that fails a check which every member can make alike: it counts for nobody, the state stays."""


class CannotOpen(MlsError):
    """A commit that this member alone cannot open; others may well have applied it, so ask for re-admission."""


class StaleMessage(MlsError):
    """The message's epoch is neither the current one nor the one past epoch that is kept."""


class BadMessage(MlsError):
    """An application message that does not open or verify: replayed, too far ahead, forged or altered."""


class BadWelcome(MlsError):
    """A Welcome that is malformed, not for this key package, or describes a group that fails validation."""


class BadKeyPackage(MlsError):
    """A key package that is malformed, expired, wrongly signed, or not fit for the group."""


class Invalid(MlsError):
    """Internal: a rule of RFC 9420 does not hold. The public functions translate it to one of the errors above."""


class DecodeError(Invalid):
    """Internal: bytes that are not the canonical encoding of the structure expected."""
