"""What is kept so that a message can be reported later: bounded in number and time, and there after a restart."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from clients import records as R
from clients.client import Client
from clients.conversations import Conversation
from clients.evidence import Evidence
from protocol import limits as L
from protocol.identity import open_signed
from tests.support.clients import open_world, say
from tests.support.reporting import scene


def evidence_of(client: Client) -> Evidence:
    return client.engine.receiver.evidence


def rows(client: Client, place: str) -> int:
    """Rows in the vault."""
    return len(list(client.engine.shelf.vault.scan(place)))


def offsets(client: Client, talk: Conversation) -> list[int]:
    record = client.engine.shelf.conversations[talk.topic]
    return evidence_of(client).before(record, 10**9, 10**9)


async def test_what_others_say_is_kept(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (anna, ben, _), talk, at = await scene(world, "one", "two")
        record = ben.engine.shelf.conversations[talk.topic]
        evidence = evidence_of(ben)
        assert offsets(ben, talk) == at
        assert offsets(anna, talk) == []  # her own
        assert evidence.before(record, at[1], 5) == [at[0]]
        assert evidence.before(record, at[1], 0) == []
        row = evidence.find(record, at[1])
        assert row is not None
        assert (row.offset, row.account, len(row.signature)) == (at[1], anna.account, 64)
        assert evidence.find(record, at[1] + 1) is None
        signed = evidence.list_of(talk.topic, row)
        assert signed is not None
        assert open_signed(signed).account == anna.account
        assert repr(row) == "Evidence(…)"


async def test_it_is_there_after_a_restart(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, _), talk, at = await scene(world, "one", "two")
        await world.settle()
        again = Evidence(ben.engine.shelf)
        record = ben.engine.shelf.conversations[talk.topic]
        assert again.before(record, 10**9, 9) == at
        assert again.find(record, at[0]) is not None
        del ben.engine.shelf.vault.records[R.EVIDENCE, talk.topic + bytes(8)]  # type: ignore[attr-defined]
        assert Evidence(ben.engine.shelf).before(record, 10**9, 9) == at[1:]


async def test_only_the_last_ones_are_kept(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "EVIDENCE_MESSAGES_MAX", 3)
    async with open_world() as world:
        (_, ben, _), talk, at = await scene(world, *"abcde")
        assert offsets(ben, talk) == at[-3:]
        assert (rows(ben, R.EVIDENCE), rows(ben, R.EVIDENCE_LISTS)) == (3, 1)


async def test_what_is_too_old_goes_with_the_next_message(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(L, "EVIDENCE_LIFE_MS", 86_400_000)
    async with open_world() as world:
        (_, ben, _), talk, _ = await scene(world, "one", "two")
        world.skipped_ms += L.EVIDENCE_LIFE_MS + 60_000
        await say(talk, "three")
        await world.settle()
        assert len(offsets(ben, talk)) == 1
        assert rows(ben, R.EVIDENCE) == 1


async def test_what_is_too_old_goes_where_nothing_is_said(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, carol), talk, at = await scene(world, "one", "two")
        shelf = ben.engine.shelf
        evidence_of(ben).expire()
        assert offsets(ben, talk) == at
        world.skipped_ms += L.EVIDENCE_LIFE_MS + 60_000
        fresh = Evidence(shelf)
        fresh.expire()
        await shelf.journal.flushed()
        assert (rows(ben, R.EVIDENCE), rows(ben, R.EVIDENCE_LISTS)) == (0, 0)
        assert shelf.conversations[talk.topic].kept_first == shelf.conversations[talk.topic].kept_next
        fresh.expire()
        evidence_of(carol).expire()
        assert offsets(carol, talk) == []


async def test_a_young_one_stays_when_seen_from_the_vault(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        (_, ben, _), talk, at = await scene(world, "one")
        Evidence(ben.engine.shelf).expire()
        assert offsets(ben, talk) == at


async def test_each_version_of_a_device_list_is_kept_while_it_is_needed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(L, "EVIDENCE_MESSAGES_MAX", 2)
    async with open_world() as world:
        (anna, ben, _), talk, _ = await scene(world, "one")
        shelf = ben.engine.shelf
        devices, signed = shelf.lists[anna.account], shelf.signed_list(anna.account)
        assert signed is not None
        del shelf.lists[anna.account], shelf._signed_lists[anna.account]
        await say(talk, "two")  # while no list is known
        await world.settle()
        assert rows(ben, R.EVIDENCE_LISTS) == 1
        await say(talk, "three")
        await world.settle()
        assert rows(ben, R.EVIDENCE_LISTS) == 0
        shelf.save_list(devices, signed)
        await say(talk, "four")
        await world.settle()
        assert rows(ben, R.EVIDENCE_LISTS) == 1
