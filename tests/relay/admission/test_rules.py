"""Bans and bounds: written through, loaded again, in force until they end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol import limits as L
from relay.admission.buckets import Kind
from relay.admission.rules import QUOTAS, Rules, RulesStatistics
from relay.testing import small
from storage.decisions import Ban, Quota
from storage.memory import MemoryStore
from tests.contracts.kit import DAY_MS, START_MS, Clock, Kit, key


class Case:
    """Rules over a store in memory."""

    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        self.kit = Kit(MemoryStore(clock_ms=self.clock), self.clock)
        self.settings = small(**settings)
        self.rules = self.fresh()

    def fresh(self) -> Rules:
        return Rules(self.settings, self.kit.store.admission, self.clock)


def ban(kind: str, subject: str, until_ms: int = 0) -> Ban:
    return Ban(kind, subject, "why", START_MS, until_ms)


async def test_bans_hold_after_a_restart_until_they_end_or_are_lifted() -> None:
    case = Case()
    eve, phone = key("eve"), key("eve/0")
    assert case.rules.banned("192.0.2.7", eve, phone) is None
    await case.rules.ban(ban("account", eve.hex()))
    await case.rules.ban(ban("device", phone.hex(), START_MS + DAY_MS))
    await case.rules.ban(ban("address", "192.0.2.0/24"))
    await case.rules.ban(ban("address", "2001:db8::1"))
    again = case.fresh()
    await again.load()
    for rules in (case.rules, again):
        assert rules.statistics() == RulesStatistics(4, 0, 0)
        assert rules.banned("10.0.0.1", eve, key("x")) is not None
        assert rules.banned("10.0.0.1", key("x"), phone) is not None
        assert rules.banned("192.0.2.99") is not None
        assert rules.banned("2001:db8::1") is not None
        assert rules.banned("2001:db8::2") is None
        assert rules.banned("memory", key("x"), key("y")) is None
    case.clock.pass_ms(DAY_MS)
    assert again.banned("10.0.0.1", key("x"), phone) is None
    assert len(again.bans()) == 3
    assert await again.unban("address", "192.0.2.0/24")
    assert not await again.unban("address", "192.0.2.0/24")
    assert again.banned("192.0.2.99") is None


async def test_there_are_only_so_many_bans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "BANS_MAX", 1)
    case = Case()
    await case.rules.ban(ban("address", "192.0.2.1"))
    await case.rules.ban(replace(ban("address", "192.0.2.1"), reason="another"))
    with pytest.raises(OverflowError):
        await case.rules.ban(ban("address", "192.0.2.2"))


async def test_bounds_of_an_account() -> None:
    case = Case(publishes_per_s=5, subscriptions_max=9)
    ann = await case.kit.person("ann")
    assert {name: case.rules.bound(ann.account, name) for name in QUOTAS} == {
        name: case.rules.default(name) for name in QUOTAS
    }
    assert case.rules.default("publishes_per_s") == 5
    assert case.rules.default("subscriptions") == 9
    assert await case.rules.set_bound(ann.account, "publishes_per_s", 1)
    assert not await case.rules.set_bound(key("nobody"), "connections", 1)
    again = case.fresh()
    await again.load()
    for rules in (case.rules, again):
        assert rules.bound(ann.account, "publishes_per_s") == 1
        assert rules.bounds() == [Quota(ann.account, "publishes_per_s", 1)]
    assert await again.set_bound(ann.account, "publishes_per_s", None)
    assert again.bound(ann.account, "publishes_per_s") == 5


async def test_gates_share_the_meters_of_a_device_and_measure_anew_by_new_bounds() -> None:
    case = Case(publishes_per_s=2)
    ann = await case.kit.person("ann")
    gates = [case.rules.gate("192.0.2.7") for _ in range(2)]
    for gate in gates:
        case.rules.admit(gate, ann.account, ann.device)
    assert [gates[n % 2].take(Kind.PUBLISH, 0) is None for n in range(5)] == [True] * 4 + [False]
    await case.rules.set_bound(ann.account, "publishes_per_s", 3)
    case.rules.admit(gates[0], ann.account, ann.device, anew=True)
    assert [gates[0].take(Kind.PUBLISH, 0) is None for _ in range(7)] == [True] * 6 + [False]
    assert case.rules.statistics().meters == 3


def test_connections_come_at_a_rate() -> None:
    case = Case(connects_per_s=2)
    assert [case.rules.may_connect("192.0.2.7", 0) for _ in range(5)] == [True] * 4 + [False]
    assert case.rules.may_connect("192.0.2.8", 0)
    assert case.rules.may_connect("192.0.2.7", 1000)


async def test_who_flooded_is_not_let_in_for_a_while() -> None:
    rules = Rules(small(meters_max=100), MemoryStore(clock_ms=lambda: 0).admission, lambda: 0)
    assert not rules.is_cut_off(b"one", 0)
    rules.cut_off(b"one", 0)
    assert rules.is_cut_off(b"one", L.FLOOD_RECONNECT_MS - 1)
    assert not rules.is_cut_off(b"one", L.FLOOD_RECONNECT_MS)
    for number in range(101):
        rules.cut_off(b"%d" % number, 0)
    assert not rules.is_cut_off(b"0", 1)  # the oldest is forgotten when there are too many
    assert rules.is_cut_off(b"100", 1)
