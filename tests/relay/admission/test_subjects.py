"""Whom the operator means, however it is written."""

from __future__ import annotations

import pytest

from relay.admission.subjects import Subject, UnknownSubject, parse, resolve
from storage.memory import MemoryStore
from tests.contracts.kit import Clock, Kit

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"account:{HEX.upper()}", Subject("account", HEX)),
        (f" device:{HEX} ", Subject("device", HEX)),
        ("address:192.0.2.7", Subject("address", "192.0.2.7")),
        ("192.0.2.7", Subject("address", "192.0.2.7")),
        ("192.0.2.77/24", Subject("address", "192.0.2.0/24")),
        ("2001:DB8::/32", Subject("address", "2001:db8::/32")),
        ("2001:db8::1", Subject("address", "2001:db8::1")),
        ("address:192.0.2.7/32", Subject("address", "192.0.2.7")),
        ("alice", None),
    ],
)
def test_spellings(text: str, expected: Subject | None) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["account:xyz", "device:ab", "address:nowhere", HEX])
def test_what_nobody_means(text: str) -> None:
    with pytest.raises(UnknownSubject):
        parse(text)


async def test_handles() -> None:
    kit = Kit(MemoryStore(clock_ms=Clock()))
    ann = await kit.person("ann")
    await kit.store.accounts.claim_handle(ann.account, "ann")
    assert (await resolve("@Ann", kit.store.accounts)).key == ann.account
    assert (await resolve("192.0.2.7", kit.store.accounts)).kind == "address"
    with pytest.raises(UnknownSubject, match="nobody"):
        await resolve("bob", kit.store.accounts)


def test_networks_cover_addresses() -> None:
    network = Subject("address", "192.0.2.0/24")
    assert network.covers("192.0.2.200")
    assert not network.covers("192.0.3.1")
    assert not network.covers("memory")
    assert Subject("address", "fe80::1").covers("fe80::1%eth0")
