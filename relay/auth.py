"""Who is this? The login, decided from facts, with the same work and the same words for known and unknown accounts.

What a login proves: the client holds the private key of ``device``, now, towards this cluster (both nonces are in what
it signs). Whether that device speaks for ``account`` follows from the account's current device list:

* listed on an unexpired list: in;
* account unknown, or the client claims a newer list than the relay has, or the list has expired: in, but only to
  publish a list (registration, recovery, renewal);
* otherwise the device was revoked: 401 and BYE 4503.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from protocol.errors import Close, Code
from protocol.frames import SLOTS_FEATURE, VERSION, Connect
from protocol.identity import IdentityError, challenge, check_key, verify_challenge
from protocol.limits import RECONNECT_MS_MAX
from relay import log
from relay.admission.why import Why
from relay.bounds import RETRY_MS
from relay.context import Relay
from storage.base import Account, Login, Refused, StoreAway

_NO_LOGIN: Final = Login(0, 0)


class Verdict(Enum):
    """What a login may do."""

    REGISTERED = "registered"
    RESTRICTED = "restricted"  # devices.publish only
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Outcome of a login; code, close and text only where it is refused."""

    verdict: Verdict
    list_version: int = 0
    code: Code = Code.UNAUTHENTICATED
    close: Close = Close.LOGIN_FAILED
    text: str = ""
    why: Why | None = None  # for the metrics, where the operator's bounds are the reason
    login: Login = _NO_LOGIN  # where it is registered
    refused: Refused | None = None  # by the store, in its own words
    shared: bool = False  # one of several processes of a worker


_FAILED = (
    "the login failed: the signature does not verify for this device, this relay and this connection; sign the nonce "
    "of the INFO that came last"
)


def is_proven(frame: Connect, cluster: bytes, relay_nonce: bytes) -> bool:
    """Whether the client holds the device's key; keys of small order prove nothing."""
    try:
        check_key(frame.device)
        check_key(frame.account)
    except IdentityError:
        return False
    message = challenge(cluster, relay_nonce, frame.nonce, frame.version, frame.account, frame.device)
    return verify_challenge(frame.device, message, frame.signature)


async def decide(relay: Relay, frame: Connect, nonce: bytes, address: str) -> Judgement:
    """Look the account up, judge, and record the login. Nothing is awaited after the operator's bounds were read."""
    async with relay.logins:  # one signature a pass of the scheduler: a storm of logins holds nobody else up
        proven = is_proven(frame, relay.cluster, nonce)
    try:
        (account,) = await relay.store.accounts.get([frame.account])
        judgement = judge(frame, proven, account, relay.clock_ms())
        if judgement.verdict is Verdict.REGISTERED:
            shared = account is not None and account.service and SLOTS_FEATURE in frame.features
            login = await relay.store.accounts.login(frame.account, frame.device, frame.number, shared=shared)
            if isinstance(login, Refused):
                return Judgement(Verdict.REFUSED, close=Close.LATE_LOGIN, refused=login)
            judgement = replace(judgement, login=login, shared=shared)
    except StoreAway as error:
        away = Refused(Code.STORE_AWAY, str(error)[:400], retry_ms=RETRY_MS)
        return Judgement(Verdict.REFUSED, close=Close.INTERNAL, refused=away)
    is_banned = relay.rules.banned(address, frame.account, frame.device) is not None
    others = relay.registry.of_account(frame.account)
    if not judgement.shared:
        others = [item for item in others if item.device != frame.device]
    judgement = judge_bounds(judgement, is_banned, len(others), relay.rules.bound(frame.account, "connections"))
    if judgement.verdict is Verdict.REFUSED:
        relay.counters.failed_logins += 1
        log.info("login-refused", address=address, device=frame.device, code=int(judgement.close))
        if judgement.why is not None:
            relay.counters.refusals[judgement.why] += 1
    return judgement


def judge(frame: Connect, proven: bool, account: Account | None, now_ms: int) -> Judgement:
    """Decide a login. The caller has looked the account up and checked the signature in any case (equal time)."""
    if frame.version != VERSION:
        text = f"this relay speaks version {VERSION} of the protocol, the client {frame.version}; update the older side"
        return Judgement(Verdict.REFUSED, 0, Code.UPGRADE, Close.VERSION, text)
    if not proven:
        return Judgement(Verdict.REFUSED, text=_FAILED)
    if account is None:
        return Judgement(Verdict.RESTRICTED)
    if frame.device in account.devices:
        verdict = Verdict.REGISTERED if now_ms < account.expires_ms else Verdict.RESTRICTED
        return Judgement(verdict, account.version)
    if frame.list_version > account.version:
        return Judgement(Verdict.RESTRICTED)
    text = "this device is not on its account's current device list; link it again from another device of the account"
    return Judgement(Verdict.REFUSED, close=Close.REVOKED, text=text)


def judge_bounds(judgement: Judgement, is_banned: bool, others: int, most: int) -> Judgement:
    """What the operator has decided about who has proven to be who they are.

    ``others``: open connections of the account's other devices; ``most``: how many connections it may have.
    """
    if judgement.verdict is Verdict.REFUSED:
        return judgement
    if is_banned:
        text = "the operator of this relay does not serve you; ask there"
        return Judgement(Verdict.REFUSED, 0, Code.FORBIDDEN, Close.BANNED, text, Why.BANNED)
    if others >= most:
        text = f"{others} connections of this account are open; close some"
        return Judgement(Verdict.REFUSED, 0, Code.RATE, Close.OVERLOAD, text, Why.CONNECTIONS)
    return judgement


def refusal(judgement: Judgement) -> Refused:
    """What a refused login is answered; only too many connections are worth another try."""
    if judgement.refused is not None:
        return judgement.refused
    retry_ms = RECONNECT_MS_MAX if judgement.code is Code.RATE else None
    return Refused(judgement.code, judgement.text, retry_ms=retry_ms)
