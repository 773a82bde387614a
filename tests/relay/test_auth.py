"""Logins: who proves what, and what follows."""

from __future__ import annotations

import msgspec
import pytest

from protocol import frames as F
from protocol import identity
from protocol.errors import Close, Code
from protocol.identity import SigningKey
from relay.auth import Judgement, Verdict, is_proven, judge
from storage.base import Account
from tests.support.lab import NOW_MS
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
