"""Tokens of contacts: who shows one is known, by its hash alone. Both backends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.ids import contact_hash
from tests.contracts.kit import BACKENDS, Clock, Kit, key, opened


@pytest.fixture(params=BACKENDS)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    clock = Clock()
    async with opened(request.param, tmp_path, clock) as store:
        yield Kit(store, clock)


async def test_a_token_makes_a_contact_of_its_account_only(both: Kit) -> None:
    ann, bob, cem = await both.people("ann", "bob", "cem")
    contacts = both.store.contacts
    await contacts.set_tokens(ann.account, [contact_hash(ann.account, b"t")])
    assert await contacts.known(bob.account, [(ann.account, b"t")]) == {bob.account, ann.account}
    assert await contacts.known(bob.account, [(cem.account, b"t")]) == {bob.account}
    assert await contacts.known(bob.account, [(ann.account, b"other")]) == {bob.account}
    assert await contacts.known(bob.account, []) == {bob.account}


async def test_new_tokens_replace_those_before(both: Kit) -> None:
    ann, bob = await both.people("ann", "bob")
    contacts = both.store.contacts
    old, new = (contact_hash(ann.account, token) for token in (b"old", b"new"))
    await contacts.set_tokens(ann.account, [old, old])
    await contacts.set_tokens(ann.account, [new])
    assert await contacts.known(bob.account, [(ann.account, b"old")]) == {bob.account}
    assert await contacts.known(bob.account, [(ann.account, b"new")]) == {bob.account, ann.account}
    await contacts.set_tokens(key("nobody"), [new])


async def test_strangers_get_the_last_resort_package_only(both: Kit) -> None:
    ann = await both.person("ann", devices=2)
    packages = both.store.key_packages
    for device in ann.devices:
        await packages.put(ann.account, device, [b"once" + device], b"again" + device)
    claimed = await packages.claim([ann.account], strangers={ann.account})
    assert [c.last_resort for c in claimed] == [True, True]
    (only,) = await packages.claim([ann.account], devices=ann.devices[1:])
    assert (only.device, only.last_resort) == (ann.devices[1], False)


async def test_conversations_of_an_account(both: Kit) -> None:
    ann, bob = await both.people("ann", "bob")
    topics = both.store.topics
    pair, group = await both.pair(ann, bob), await both.group(bob)
    own = await both.own(ann)
    rows = await topics.of_account(ann.account, bytes(32), 10)
    assert [row[0] for row in rows] == sorted([pair, own])
    assert await topics.of_account(ann.account, bytes(32), 1) == rows[:1]
    assert await topics.of_account(ann.account, rows[0][0], 10) == rows[1:]
    assert {row[0] for row in await topics.of_account(bob.account, bytes(32), 10)} == {pair, group}
    await both.leave(ann, pair)
    assert [row[0] for row in await topics.of_account(ann.account, bytes(32), 10)] == [own]
