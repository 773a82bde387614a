"""Reports: sealed to the operator alone, and worth exactly what the signatures in them are."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from clients.client import Client
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.identity import Device, DeviceList, SigningKey, sign_list
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.reports import VERSION, Ground, Item, Report, ReportError, check, public_of, seal, unseal
from tests.support.clients import open_world
from tests.support.reporting import PRIVATE, PUBLIC, scene
from tests.support.reports_proof import SIGNATURE, doctored, forged_list

Scene = tuple[Report, list[Client]]
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def genuine() -> Scene:
    """What Ben reveals of what Anna said, and everybody's clients."""

    async def make() -> Scene:
        async with open_world() as world:
            clients, talk, at = await scene(world, "first", "second")
            report = await clients[1].reporter.make(talk.topic, at[1], Ground.ABUSE, "she means it", [at[0]])
            return report, clients

    return trio.run(make, clock=MockClock(autojump_threshold=0))


def changed(report: Report, lists: tuple[bytes, ...] | None = None, **fields: Any) -> Report:
    """The report of its first message alone, with something else in it."""
    item = structs.replace(report.items[0], **fields)
    return structs.replace(report, items=(item,), lists=report.lists if lists is None else lists)


# -- sealing -----------------------------------------------------------------------------------------------------------
def test_only_the_operator_opens_a_report(genuine: Scene) -> None:
    report, _ = genuine
    sealed = seal(report, PUBLIC, os.urandom)
    assert unseal(sealed, PRIVATE) == report
    with pytest.raises(ReportError, match=PUBLIC.hex()):
        unseal(sealed, bytes([7]) * 32)
    assert sealed != seal(report, PUBLIC, os.urandom)


def test_sizes_are_rounded_up(genuine: Scene) -> None:
    report, _ = genuine
    sizes = {len(seal(structs.replace(report, text="x" * length), PUBLIC, os.urandom)) for length in (0, 1, 200)}
    assert len(sizes) == 1


@pytest.mark.parametrize("blob", [b"", b"\xc0", b"\x93" + encode_struct(PUBLIC) + b"\xc4\x01x\xc4\x01x"])
def test_what_is_no_report_is_not_opened(blob: bytes) -> None:
    with pytest.raises(ReportError, match="no report that this version can open"):
        unseal(blob, PRIVATE)


def test_a_sealed_report_cannot_be_changed(genuine: Scene) -> None:
    sealed = bytearray(seal(genuine[0], PUBLIC, os.urandom))
    sealed[-1] ^= 1
    with pytest.raises(ReportError, match="no report"):
        unseal(bytes(sealed), PRIVATE)


def test_newer_versions_are_not_guessed_at(genuine: Scene) -> None:
    newer = structs.replace(genuine[0], version=VERSION + 1)
    with pytest.raises(ReportError, match="update it"):
        unseal(seal(newer, PUBLIC, os.urandom), PRIVATE)


def test_what_cannot_be_sealed(genuine: Scene) -> None:
    report, _ = genuine
    with pytest.raises(ReportError, match="not a key"):
        seal(report, bytes(32), os.urandom)
    large = structs.replace(report.items[0], content=bytes(L.CONTENT_BYTES_MAX))
    with pytest.raises(ReportError, match="attach fewer"):
        seal(structs.replace(report, items=(large,) * 5), PUBLIC, os.urandom)


def test_the_public_key_follows_from_the_private_one() -> None:
    assert public_of(PRIVATE) == PUBLIC != public_of(bytes([1]) * 32)


# -- checking ----------------------------------------------------------------------------------------------------------
def test_a_genuine_report_is_verified(genuine: Scene) -> None:
    report, (anna, *_) = genuine
    verdict = check(unseal(seal(report, PUBLIC, os.urandom), PRIVATE))
    assert (verdict.verified, verdict.why) == (True, "")
    assert [finding.verified for finding in verdict.findings] == [True, True]
    assert verdict.findings[0].item.account == anna.account
    assert verdict.findings[0].notes == ()
    assert b"second" in verdict.findings[0].item.content
    assert 0 <= verdict.findings[0].item.ts - verdict.said_ms < DAY_MS


async def test_every_doctored_one_is_not(autojump_clock: object) -> None:
    async with open_world() as world:
        clients, talk, at = await scene(world, "first", "second")
        anna, ben, carol = clients
        await talk.rotate()
        await world.settle()
        await talk.send("third")
        other = await anna.pair(carol.account)
        await other.send("elsewhere")
        await world.settle()
        (there,) = carol.reporter.before(other.topic, 1000, 5)
        elsewhere = await carol.reporter.make(other.topic, there, Ground.OTHER, "")
        late = ben.reporter.before(talk.topic, 1000, 1)
        report = await ben.reporter.make(talk.topic, at[1], Ground.OTHER, "", [at[0], *late])
        assert check(report).verified
        cases = doctored(report, elsewhere, carol, ben)
        assert len(cases) == 13
        for name, (bad, reason) in cases.items():
            assert reason in check(bad).why, name


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"devices": 5}, "is missing"),
        ({"padded": 257}, SIGNATURE),
        ({"padded": 1024}, SIGNATURE),
        ({"leaf": 9}, SIGNATURE),
        ({"flags": 2}, SIGNATURE),
        ({"ttl": 60_000}, SIGNATURE),
        ({"fence": 7}, SIGNATURE),
        ({"header": b"x"}, SIGNATURE),
        ({"group": 2}, "another conversation"),
        ({"content": compose(Text(text="seconds"))}, SIGNATURE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_everything_that_is_signed_counts(genuine: Scene, fields: dict[str, Any], reason: str) -> None:
    verdict = check(changed(genuine[0], **fields))
    assert not verdict.verified
    assert reason in verdict.why


def test_a_list_that_is_none(genuine: Scene) -> None:
    assert check(changed(genuine[0], (b"nothing",))).why
    tampered = bytearray(genuine[0].lists[0])
    tampered[-80] ^= 1
    assert "does not verify" in check(changed(genuine[0], (bytes(tampered),))).why


def test_nobody_is_framed_with_a_recovery_key_of_ones_own(genuine: Scene) -> None:
    """Whatever Ben signs is genuine; a list that he makes for Carol's account must not turn it into her words."""
    report, (_, ben, carol) = genuine
    anna_said = report.items[0]
    framed = forged_list(carol.account, (), ben.engine.shelf.device, report.made_ms)
    verdict = check(changed(report, (framed,), account=carol.account, device=anna_said.device))
    assert "recovered" in verdict.why


def test_a_recovered_account_is_answerable_with_the_list_of_the_relay(genuine: Scene) -> None:
    report, _ = genuine
    item, recovery = report.items[0], SigningKey(bytes([5]) * 32)
    device = Device(item.device, PUBLIC, 1, True)
    made = report.made_ms

    def listed(version: int, key: SigningKey) -> bytes:
        devices = DeviceList(item.account, version, made, made + DAY_MS, (device,), key.public, recovered=True)
        return sign_list(devices, key)

    bad = changed(report, (listed(3, recovery),))
    assert "recovered" in check(bad).why
    assert check(bad, [listed(4, recovery)]).verified
    assert not check(bad, [listed(4, SigningKey(bytes([6]) * 32))]).verified


def test_a_bad_neighbour_is_named(genuine: Scene) -> None:
    report, _ = genuine
    first, second = report.items
    bad = structs.replace(report, items=(first, structs.replace(second, ttl=5), second))
    verdict = check(bad)
    assert verdict.why == "the message is genuine, but not what was attached to it (1)"
    assert [finding.verified for finding in verdict.findings] == [True, False, True]


def test_times_that_do_not_fit_are_noted(genuine: Scene) -> None:
    report, (anna, *_) = genuine
    (finding,) = check(changed(report, ts=report.items[0].ts + 2 * DAY_MS)).findings
    assert finding.verified
    assert "a day apart" in finding.notes[0]
    own, root = anna.own_devices, anna.engine.shelf.identity.root_seed
    assert root is not None
    old = structs.replace(own, created_ms=own.created_ms - 31 * DAY_MS, expires_ms=own.expires_ms - 31 * DAY_MS)
    (finding,) = check(changed(report, (sign_list(old, SigningKey(root)),))).findings
    assert finding.verified
    assert "run out" in finding.notes[0]


def test_a_report_is_bounded(genuine: Scene) -> None:
    report, _ = genuine
    seal_any: Callable[[Report], bytes] = lambda made: seal(made, PUBLIC, os.urandom)  # noqa: E731
    for bad in (
        structs.replace(report, items=()),
        structs.replace(report, items=report.items[:1] * (2 + L.REPORT_NEIGHBOURS_MAX)),
        structs.replace(report, text="x" * (L.REPORT_TEXT_CHARS_MAX + 1)),
    ):
        with pytest.raises(ReportError, match="no report"):
            unseal(seal_any(bad), PRIVATE)


def test_fields_have_the_order_of_the_specification() -> None:
    assert Item.__struct_fields__[:5] == ("topic", "generation", "offset", "ts", "id")
    assert [ground.value for ground in Ground] == list(range(1, 8))
