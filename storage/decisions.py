"""What an operator has decided (who may come, how much each may use, what was restored): values and their seam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation, by the hash of its token; ``uses`` are left until ``until_ms``."""

    hash: bytes
    uses: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Ban:
    """Somebody whom the operator does not serve. ``kind``: account or device (``subject`` in hex) or address (one, or
    a network). ``until_ms`` 0: for good."""

    kind: str
    subject: str
    reason: str
    made_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Quota:
    """An account's own bound, in place of the setting ``name``."""

    account: bytes
    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Restored:
    """A log was taken up again from a backup: what lies above ``base`` is of ``generation``, until the next one.

    ``hash`` is the chain hash at ``base``. Entries of the first generation are of generation 1.
    """

    generation: int
    base: int
    hash: bytes


class Admission(Protocol):
    """What the operator has decided about who may come, and how much each may use."""

    async def add_invite(self, invite: Invite) -> None:
        """Keep an invitation; those that are used up or too old go at the same time."""
        ...

    async def invites(self) -> list[Invite]:
        """Invitations that can still be used."""
        ...

    async def ban(self, ban: Ban) -> None:
        """Keep a ban; one of the same subject is replaced."""
        ...

    async def unban(self, kind: str, subject: str) -> bool:
        """Lift a ban. False: there was none."""
        ...

    async def bans(self) -> list[Ban]:
        """Bans in force, oldest first."""
        ...

    async def set_quota(self, account: bytes, name: str, value: int | None) -> bool:
        """Give an account a bound of its own; None: the setting holds again. False: the account is unknown."""
        ...

    async def quotas(self) -> list[Quota]:
        """All bounds of single accounts, by account and name."""
        ...
