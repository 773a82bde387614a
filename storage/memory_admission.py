"""The part of the dict model that the operator decides: invitations, bans, bounds of single accounts."""

from __future__ import annotations

import trio

from storage.decisions import Ban, Invite, Quota
from storage.memory_model import Model


class MemoryAdmission:
    """``base.Admission`` in dicts."""

    def __init__(self, store: Model) -> None:
        self._store = store

    async def add_invite(self, invite: Invite) -> None:
        """Keep an invitation."""
        await trio.lowlevel.checkpoint()
        self._store.invitations[invite.hash] = invite

    async def invites(self) -> list[Invite]:
        """Those that can still be used, the first to end first."""
        await trio.lowlevel.checkpoint()
        now_ms, known = self._store.clock_ms(), self._store.invitations.values()
        usable = (invite for invite in known if invite.uses > 0 and invite.until_ms > now_ms)
        return sorted(usable, key=lambda invite: invite.until_ms)

    async def ban(self, ban: Ban) -> None:
        """Keep a ban."""
        await trio.lowlevel.checkpoint()
        self._store.banned[ban.kind, ban.subject] = ban

    async def unban(self, kind: str, subject: str) -> bool:
        """Lift a ban."""
        await trio.lowlevel.checkpoint()
        return self._store.banned.pop((kind, subject), None) is not None

    async def bans(self) -> list[Ban]:
        """Bans in force."""
        await trio.lowlevel.checkpoint()
        now_ms = self._store.clock_ms()
        in_force = (ban for ban in self._store.banned.values() if not ban.until_ms or ban.until_ms > now_ms)
        return sorted(in_force, key=lambda ban: (ban.made_ms, ban.kind, ban.subject))

    async def set_quota(self, account: bytes, name: str, value: int | None) -> bool:
        """Give an account a bound of its own, or take it away."""
        await trio.lowlevel.checkpoint()
        if account not in self._store.people:
            return False
        self._store.bounds.pop((account, name), None)
        if value is not None:
            self._store.bounds[account, name] = value
        return True

    async def quotas(self) -> list[Quota]:
        """All of them, by account and name."""
        await trio.lowlevel.checkpoint()
        return [Quota(account, name, value) for (account, name), value in sorted(self._store.bounds.items())]
