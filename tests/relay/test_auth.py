"""Logins: who proves what, and what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from protocol import frames as F
from protocol import identity
from protocol.errors import Close, Code
from protocol.identity import SigningKey
from protocol.limits import RECONNECT_MS_MAX
from relay.admission.why import Why
from relay.auth import Judgement, Verdict, decide, is_proven, judge, judge_bounds, refusal
from relay.testing import TEST_SETTINGS
from storage.base import Account, Refused, StoreAway
from storage.decisions import Ban
from tests.support.lab import NOW_MS, Lab, open_lab
from tests.support.people import Person, seed

ALICE = Person("alice", NOW_MS)
INFO = F.Info((1,), b"c" * 16, b"n" * 32)
GOOD = ALICE.connect(INFO)
LISTED = Account(ALICE.account, 3, b"", NOW_MS + 1000, (ALICE.device,), False, None)
OTHERS = Account(ALICE.account, 3, b"", NOW_MS + 1000, (b"X" * 32,), False, None)
SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def changed(**changes: object) -> F.Connect:
    """``GOOD`` with changes."""
    return msgspec.structs.replace(GOOD, **changes)


def test_a_good_signature_proves() -> None:
    assert is_proven(GOOD, INFO.cluster, INFO.nonce)


@pytest.mark.parametrize(
    "frame",
    [
        changed(nonce=b"x" * 32),
        changed(version=2),
        changed(account=Person("bob", NOW_MS).account),
        changed(device=Person("bob", NOW_MS).device),
        changed(signature=bytes(64)),
        changed(device=SMALL_ORDER),
        changed(device=bytes(32)),
        changed(account=SMALL_ORDER),
        changed(account=b"\xff" * 32),
    ],
)
def test_anything_else_does_not(frame: F.Connect) -> None:
    assert not is_proven(frame, INFO.cluster, INFO.nonce)


def test_a_signature_is_worth_nothing_elsewhere() -> None:
    assert not is_proven(GOOD, b"d" * 16, INFO.nonce)
    assert not is_proven(GOOD, INFO.cluster, b"o" * 32)


def test_a_signature_of_another_purpose_is_no_login() -> None:
    message = identity.challenge(INFO.cluster, INFO.nonce, GOOD.nonce, 1, ALICE.account, ALICE.device)
    for domain in (b"chappe/v1/device-list\x00", b"MLS 1.0 ", b""):
        assert not is_proven(changed(signature=ALICE.key.sign(domain, message)), INFO.cluster, INFO.nonce)


def test_a_small_order_key_cannot_forge_for_everybody() -> None:
    forged = changed(device=SMALL_ORDER, signature=SigningKey(seed("anybody")).sign(b"", b"")[:64])
    assert not is_proven(forged, INFO.cluster, INFO.nonce)


@pytest.mark.parametrize(
    ("account", "frame", "expected"),
    [
        (None, GOOD, Judgement(Verdict.RESTRICTED)),
        (LISTED, GOOD, Judgement(Verdict.REGISTERED, 3)),
        (OTHERS, changed(list_version=4), Judgement(Verdict.RESTRICTED)),
    ],
)
def test_who_may_do_what(account: Account | None, frame: F.Connect, expected: Judgement) -> None:
    assert judge(frame, True, account, NOW_MS) == expected


def test_an_expired_list_may_only_be_renewed() -> None:
    assert judge(GOOD, True, LISTED, NOW_MS + 1000) == Judgement(Verdict.RESTRICTED, 3)


def test_a_revoked_device_is_told_not_to_come_back() -> None:
    judgement = judge(changed(list_version=3), True, OTHERS, NOW_MS)
    assert (judgement.verdict, judgement.code, judgement.close) == (
        Verdict.REFUSED, Code.UNAUTHENTICATED, Close.REVOKED,
    )  # fmt: skip


@pytest.mark.parametrize("account", [None, LISTED, OTHERS])
def test_without_proof_the_answer_tells_nothing_about_the_account(account: Account | None) -> None:
    judgement = judge(GOOD, False, account, NOW_MS)
    assert judgement == judge(GOOD, False, None, NOW_MS)
    assert (judgement.verdict, judgement.close) == (Verdict.REFUSED, Close.LOGIN_FAILED)


def test_another_version_of_the_protocol() -> None:
    judgement = judge(changed(version=2), False, None, NOW_MS)
    assert (judgement.code, judgement.close) == (Code.UPGRADE, Close.VERSION)


def test_bounds_of_the_operator_come_after_proof() -> None:
    refused = judge(GOOD, False, LISTED, NOW_MS)
    assert judge_bounds(refused, True, 99, 1) is refused
    good = Judgement(Verdict.REGISTERED, 3)
    assert judge_bounds(good, False, 1, 2) is good
    banned = judge_bounds(good, True, 0, 2)
    assert (banned.code, banned.close, banned.why) == (Code.FORBIDDEN, Close.BANNED, Why.BANNED)
    crowded = judge_bounds(good, False, 2, 2)
    assert (crowded.code, crowded.close, crowded.why) == (Code.RATE, Close.OVERLOAD, Why.CONNECTIONS)


def test_only_what_passes_is_worth_another_try() -> None:
    banned, crowded = [judge_bounds(Judgement(Verdict.REGISTERED), *bounds) for bounds in ((True, 0, 2), (False, 2, 2))]
    assert refusal(banned).retry_ms is None
    assert refusal(crowded).retry_ms == RECONNECT_MS_MAX
    own = Refused(Code.CONFLICT, "a newer login", retry_ms=5)
    assert refusal(Judgement(Verdict.REFUSED, refused=own)) is own


async def decided(lab: Lab, person: Person, address: str = "192.0.2.1", **changes: Any) -> Judgement:
    """What a login comes to, on a connection of its own."""
    nonce = b"n" * 32
    info = F.Info((1,), lab.relay.cluster, nonce)
    return await decide(lab.relay, person.connect(info, **changes), nonce, address)


async def test_a_login_is_looked_up_judged_and_recorded() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        assert (await decided(lab, alice)).verdict is Verdict.RESTRICTED
        await lab.register(alice)
        first = await decided(lab, alice, number=lab.now_ms + 1)
        assert (first.verdict, first.list_version) == (Verdict.REGISTERED, 1)
        assert first.login.number >= lab.now_ms
        assert lab.relay.counters.failed_logins == 0


async def test_a_late_login_is_refused_in_the_words_of_the_store() -> None:
    async with open_lab() as lab:
        alice = lab.person("alice")
        await lab.register(alice)
        await decided(lab, alice, number=lab.now_ms + 10)
        late = await decided(lab, alice, number=lab.now_ms + 5)
        assert (late.verdict, late.close) == (Verdict.REFUSED, Close.LATE_LOGIN)
        assert refusal(late) is late.refused


async def test_a_login_while_the_store_is_away_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(accounts: object) -> object:
        raise StoreAway("the disk is full")

    async with open_lab() as lab:
        monkeypatch.setattr(lab.store.accounts, "get", away)
        judgement = await decided(lab, lab.person("alice"))
        said = refusal(judgement)
        assert (judgement.verdict, said.code, said.text) == (Verdict.REFUSED, Code.STORE_AWAY, "the disk is full")
        assert said.retry_ms


async def test_refused_logins_are_counted_by_their_reason(caplog: pytest.LogCaptureFixture) -> None:
    async with open_lab(replace(TEST_SETTINGS, connections_per_account_max=1)) as lab:
        alice, eve = lab.person("alice"), lab.person("eve")
        await lab.register(alice)
        await lab.register(eve)
        with caplog.at_level("INFO", "chappe.relay"):
            assert (await decided(lab, alice, signature=bytes(64))).close is Close.LOGIN_FAILED
            await lab.relay.rules.ban(Ban("account", eve.account.hex(), "spam", lab.now_ms, 0))
            assert (await decided(lab, eve)).close is Close.BANNED
            second = alice.second()
            signed = second.signed(second.devices(2, alice.device))
            await lab.store.accounts.publish_list(
                alice.account, 2, signed, lab.now_ms + 10_000, [alice.device, second.device], False, alice.device
            )
            assert (await decided(lab, second, list_version=2)).close is Close.OVERLOAD
            assert (await decided(lab, alice)).verdict is Verdict.REGISTERED  # its own earlier connection is no other
        counters = lab.relay.counters
        assert (counters.refusals[Why.BANNED], counters.refusals[Why.CONNECTIONS]) == (1, 1)
        assert counters.failed_logins == 3
        assert caplog.text.count("login-refused") == 3
