"""What an operator may do to a running relay: JSON in, JSON out, one verb a request, the token with every one.

Every verb is in ``VERBS``: its parameters, and what does it. Whatever changes is durable before it is acted on.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from protocol import limits as L
from protocol.errors import Close
from relay import log
from relay.admission.registration import invite_hash
from relay.admission.rules import ACCOUNT, DEVICE, QUOTAS
from relay.admission.subjects import Subject, UnknownSubject, resolve
from relay.admission.why import Why
from relay.bounds import ADMIN_LISTED_MAX, ADMIN_REPORTS_MAX
from relay.connection import Connection
from relay.node import Node
from storage.base import Entry, StoreAway
from storage.casework import Case
from storage.decisions import Ban, Invite

DAY_MS: Final = 86_400_000
NO_REPORT: Final = "there is no report of this number, or not any more; `chappe admin reports` lists them"


class Refusal(Exception):
    """A request that cannot be carried out; the text says why, and what to do."""


class Verb(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of the parameters of a verb."""


class Who(Verb, frozen=True):
    """Open connections, of one subject or of all."""

    subject: str = ""


class Kick(Verb, frozen=True):
    """End the connections of a subject; they may come back."""

    subject: str


class GiveBan(Verb, frozen=True):
    """End the connections of a subject and refuse it from now on. ``days`` 0: for good."""

    subject: str
    days: float = 0
    reason: str = ""


class Unban(Verb, frozen=True):
    """Lift a ban."""

    subject: str


class Bans(Verb, frozen=True):
    """Bans in force."""


class SetQuota(Verb, frozen=True):
    """Bounds of an account; with ``name`` and ``value`` (None: the setting again) change one first."""

    subject: str = ""
    name: str = ""
    value: int | None = None


class Retention(Verb, frozen=True):
    """Remove what is older than ``days`` (None: as the settings say) now."""

    days: float | None = None


class GiveInvite(Verb, frozen=True):
    """Make an invitation."""

    uses: int = 1
    days: float = 7


class ListReports(Verb, frozen=True):
    """Reports that wait, or that were closed, behind a number."""

    closed: bool = False
    after: int = 0


class FetchReport(Verb, frozen=True):
    """One report, still sealed: only the operator's private key opens it."""

    number: int


class CloseReport(Verb, frozen=True):
    """Note that a report was dealt with."""

    number: int
    note: str = ""


class Devices(Verb, frozen=True):
    """The signed device list of an account, as the relay has it."""

    subject: str


class ShowEntry(Verb, frozen=True):
    """What the relay knows of one entry of a topic (hex): to compare a report with."""

    topic: str
    offset: int


class Doctor(Verb, frozen=True):
    """What a doctor asks first: where clients connect, and which settings are insecure."""


class Admin:
    """The verbs over one node."""

    def __init__(self, node: Node, token: str) -> None:
        self._node = node
        self._relay = node.relay
        self._token = token.encode()

    async def answer(self, method: bytes, verb: str, token: str, body: bytes) -> tuple[int, bytes]:
        """Status and JSON. 401 without the token, before anything else is looked at."""
        if not hmac.compare_digest(token.encode(), self._token):
            self._relay.counters.refused_admin += 1
            log.warning("admin-refused", verb=verb)
            return 401, _json({"error": "the token of DATA/admin.token is needed: Authorization: Bearer TOKEN"})
        if method != b"POST":
            return 405, _json({"error": "only POST here"})
        known = VERBS.get(verb)
        if known is None:
            return 404, _json({"error": f"no such verb; there are {', '.join(VERBS)}"})
        type_, act = known
        try:
            result = await act(self, msgspec.json.decode(body or b"{}", type=type_))
        except (msgspec.MsgspecError, UnicodeDecodeError, Refusal, UnknownSubject, OverflowError) as error:
            return 400, _json({"error": str(error)})
        except StoreAway as error:
            return 503, _json({"error": f"{error}; nothing was changed, try again"})
        self._relay.counters.admin += 1
        log.info("admin", verb=verb)
        return 200, _json(result)

    async def _subject(self, text: str) -> Subject:
        return await resolve(text, self._relay.store.accounts)

    def _connections(self, subject: Subject) -> list[Connection]:
        found = self._node.connections()
        if subject.kind == ACCOUNT:
            return [item for item in found if item.account == subject.key]
        if subject.kind == DEVICE:
            return [item for item in found if item.device == subject.key]
        return [item for item in found if subject.covers(item.peer.address)]

    # -- verbs ---------------------------------------------------------------------------------------------------------
    async def who(self, asked: Who) -> dict[str, Any]:
        """``who``"""
        found = self._connections(await self._subject(asked.subject)) if asked.subject else self._node.connections()
        return {"connections": [_shown(item) for item in found[:ADMIN_LISTED_MAX]], "count": len(found)}

    async def kick(self, asked: Kick) -> dict[str, Any]:
        """``kick``"""
        subject = await self._subject(asked.subject)
        return {"subject": _said(subject), "kicked": self._end(self._connections(subject), Close.KICKED, Why.KICKED)}

    def _end(self, connections: list[Connection], close: Close, why: Why) -> int:
        connections = [connection for connection in connections if not connection.is_over]
        for connection in connections:
            connection.bye(close)
        self._relay.counters.refusals[why] += len(connections)
        self._relay.counters.sent_away += len(connections)
        return len(connections)

    async def ban(self, asked: GiveBan) -> dict[str, Any]:
        """``ban``"""
        subject = await self._subject(asked.subject)
        if not 0 <= asked.days <= 100 * 366 or len(asked.reason) > L.BAN_REASON_CHARS_MAX:
            raise Refusal(f"days lie between 0 (for good) and 36600, a reason has {L.BAN_REASON_CHARS_MAX} characters")
        now_ms = self._relay.clock_ms()
        until_ms = now_ms + int(asked.days * DAY_MS) if asked.days else 0
        await self._relay.rules.ban(Ban(subject.kind, subject.name, asked.reason, now_ms, until_ms))
        met = [
            item
            for item in self._node.connections()
            if self._relay.rules.banned(item.peer.address, item.account, item.device) is not None
        ]
        log.info("banned", subject=_said(subject), reason=asked.reason)
        return {"subject": _said(subject), "until_ms": until_ms, "kicked": self._end(met, Close.BANNED, Why.BANNED)}

    async def unban(self, asked: Unban) -> dict[str, Any]:
        """``unban``"""
        subject = await self._subject(asked.subject)
        if not await self._relay.rules.unban(subject.kind, subject.name):
            raise Refusal(f"{_said(subject)} is not banned; `chappe admin bans` lists who is")
        return {"subject": _said(subject), "unbanned": True}

    async def bans(self, asked: Bans) -> dict[str, Any]:
        """``bans``"""
        shown = [
            {"subject": f"{ban.kind}:{ban.subject}", "reason": ban.reason, "made_ms": ban.made_ms,
             "until_ms": ban.until_ms}
            for ban in self._relay.rules.bans()
        ]  # fmt: skip
        return {"bans": shown}

    async def quota(self, asked: SetQuota) -> dict[str, Any]:
        """``quota``"""
        rules = self._relay.rules
        if not asked.subject:
            own = [{"account": q.account.hex(), "name": q.name, "value": q.value} for q in rules.bounds()]
            return {"defaults": {name: rules.default(name) for name in QUOTAS}, "own": own}
        subject = await self._subject(asked.subject)
        if subject.kind != ACCOUNT:
            raise Refusal("bounds are those of an account: write its handle, or account:HEX")
        if asked.name:
            await self._set(subject.key, asked.name, asked.value)
        own_names = {quota.name for quota in rules.bounds() if quota.account == subject.key}
        bounds = {name: rules.bound(subject.key, name) for name in QUOTAS}
        return {"subject": _said(subject), "bounds": bounds, "own": sorted(own_names)}

    async def _set(self, account: bytes, name: str, value: int | None) -> None:
        if name not in QUOTAS:
            raise Refusal(f"no bound is called {name!r}; there are {', '.join(QUOTAS)}")
        low = 1 if name.endswith("_per_s") or name == "topics_per_day" else 0
        if value is not None and not low <= value <= L.QUOTA_MAX:
            raise Refusal(f"{name} lies between {low} and {L.QUOTA_MAX}")
        if name == "bytes_per_s" and value is not None and value < L.BYTES_PER_S_MIN:
            raise Refusal(f"bytes_per_s is at least {L.BYTES_PER_S_MIN}: the largest message must go through")
        if not await self._relay.rules.set_bound(account, name, value):
            raise Refusal("this account is not registered here")
        for item in self._connections(Subject(ACCOUNT, account.hex())):
            item.bounds_changed(anew=True)

    async def retention(self, asked: Retention) -> dict[str, Any]:
        """``retention``"""
        now_ms, set_ms = self._relay.clock_ms(), self._relay.settings.retention_ms
        if asked.days is not None and not 0 <= asked.days <= 36_600:
            raise Refusal("days lie between 0 and 36600")
        # Without an age nothing goes for its age: only what is past its own time, and what nothing refers to.
        age_ms = int(asked.days * DAY_MS) if asked.days is not None else set_ms or now_ms
        freed = await self._relay.retain(now_ms - age_ms)
        return {
            "entries": freed.entries, "bytes": freed.bytes, "blobs": freed.blobs, "blob_bytes": freed.blob_bytes,
            "bytes_freed": freed.bytes + freed.blob_bytes,
        }  # fmt: skip

    async def doctor(self, asked: Doctor) -> dict[str, Any]:
        """``doctor``"""
        return {"url": self._node.url, "insecure": list(self._node.insecure)}

    async def invite(self, asked: GiveInvite) -> dict[str, Any]:
        """``invite``"""
        if not 1 <= asked.uses <= L.INVITE_USES_MAX or not 0 < asked.days <= L.INVITE_DAYS_MAX:
            raise Refusal(f"uses lie between 1 and {L.INVITE_USES_MAX}, days between 0 and {L.INVITE_DAYS_MAX}")
        token = self._relay.entropy(L.INVITE_BYTES)
        until_ms = self._relay.clock_ms() + int(asked.days * DAY_MS)
        await self._relay.store.admission.add_invite(Invite(invite_hash(token), asked.uses, until_ms))
        needed = self._relay.settings.registration in ("invite", "proof-of-work")
        return {"invite": token.hex(), "uses": asked.uses, "until_ms": until_ms, "needed": needed}

    async def devices(self, asked: Devices) -> dict[str, Any]:
        """``devices``"""
        subject = await self._subject(asked.subject)
        (known,) = await self._relay.store.accounts.get([subject.key if subject.kind == ACCOUNT else b""])
        if known is None:
            raise Refusal("no account of this name is registered here: write its handle, or account:HEX")
        return {"subject": _said(subject), "version": known.version, "signed": known.signed.hex()}

    # -- reports -------------------------------------------------------------------------------------------------------
    async def reports(self, asked: ListReports) -> dict[str, Any]:
        """``reports``"""
        found = await self._relay.reports.store.cases(
            closed=asked.closed, after=asked.after, limit=ADMIN_REPORTS_MAX
        )  # fmt: skip
        return {"reports": [_case(case) for case in found], "waiting": self._relay.reports.statistics().count}

    async def fetch_report(self, asked: FetchReport) -> dict[str, Any]:
        """``report-fetch``"""
        found = await self._relay.reports.store.get(asked.number)
        if found is None:
            raise Refusal(NO_REPORT)
        return {**_case(found[0]), "sealed": found[1].hex()}

    async def close_report(self, asked: CloseReport) -> dict[str, Any]:
        """``report-close``"""
        if len(asked.note) > L.REPORT_NOTE_CHARS_MAX:
            raise Refusal(f"a note has {L.REPORT_NOTE_CHARS_MAX} characters")
        if not await self._relay.reports.close(asked.number, asked.note):
            raise Refusal(NO_REPORT)
        return {"number": asked.number, "waiting": self._relay.reports.statistics().count}

    async def entry(self, asked: ShowEntry) -> dict[str, Any]:
        """``entry``"""
        try:
            page = await self._relay.store.topics.read(bytes.fromhex(asked.topic), asked.offset - 1, 1, 1)
        except (LookupError, ValueError):
            raise Refusal("no such topic here; write all 64 digits, as `chappe report verify` shows them") from None
        found = page.items[0] if page.items and asked.offset > 0 else None
        if not isinstance(found, Entry):
            raise Refusal("there is no entry at this offset, or retention has removed it")
        return {
            "id": found.id.hex(), "account": found.account.hex(), "device": found.device.hex(), "relay_ms": found.ts,
            "offset": found.offset, "generation": found.generation,
        }  # fmt: skip


def _case(case: Case) -> dict[str, Any]:
    return {
        "number": case.number, "account": case.account.hex(), "made_ms": case.made_ms, "size": case.size,
        "closed_ms": case.closed_ms, "note": case.note,
    }  # fmt: skip


def _shown(connection: Connection) -> dict[str, Any]:
    now = connection.statistics()
    return {
        "account": connection.account.hex(), "device": connection.device.hex(), "address": connection.peer.address,
        "registered": connection.is_registered, "since_ms": now.since_ms, "subscriptions": now.subscriptions,
        "backlog": now.backlog, "inflight": now.inflight, "requests": now.requests,
        "buffered_bytes": now.buffered_bytes,
    }  # fmt: skip


def _said(subject: Subject) -> str:
    return f"{subject.kind}:{subject.name}"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


VERBS: Final[dict[str, tuple[type[Verb], Callable[[Admin, Any], Awaitable[dict[str, Any]]]]]] = {
    "who": (Who, Admin.who),
    "kick": (Kick, Admin.kick),
    "ban": (GiveBan, Admin.ban),
    "unban": (Unban, Admin.unban),
    "bans": (Bans, Admin.bans),
    "quota": (SetQuota, Admin.quota),
    "retention": (Retention, Admin.retention),
    "invite": (GiveInvite, Admin.invite),
    "devices": (Devices, Admin.devices),
    "entry": (ShowEntry, Admin.entry),
    "reports": (ListReports, Admin.reports),
    "report-fetch": (FetchReport, Admin.fetch_report),
    "report-close": (CloseReport, Admin.close_report),
    "doctor": (Doctor, Admin.doctor),
}
