"""Room in inboxes: what strangers and contacts find, and whom a service takes for a contact."""

from __future__ import annotations

import pytest

from protocol.errors import Code
from protocol.frames import Flag
from protocol.ids import TopicKind, contact_hash
from storage import inboxes
from storage.facts import InboxFacts, TopicFacts
from storage.sqlite import SqliteStore
from tests.contracts.kit import Kit, refused, stored

INBOX = TopicFacts(bytes(32), TopicKind.INBOX, bytes(32))


def test_the_quota_of_strangers_is_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "INBOX_ENTRIES_MAX", 10)
    monkeypatch.setattr(inboxes, "INBOX_STRANGERS_MAX", 2)
    room = InboxFacts(INBOX, 9, False, 1, False)
    assert inboxes.full([room]) is None
    refused(inboxes.full([room, InboxFacts(INBOX, 9, False, 2, False)]), Code.QUOTA)
    assert inboxes.full([InboxFacts(INBOX, 9, False, 2, True)]) is None
    refused(inboxes.full([InboxFacts(INBOX, 10, False, 0, True)]), Code.QUOTA)
    assert (inboxes.mark(True), inboxes.mark(False)) == (0, Flag.STRANGER)


async def test_strangers_of_one_batch_are_counted(
    sqlite: SqliteStore, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "INBOX_STRANGERS_MAX", 2)
    ann, bob = await kit.people("ann", "bob")
    await sqlite.contacts.set_tokens(bob.account, [contact_hash(bob.account, b"t" * 16)])
    stored(await kit.post(ann, bob.inbox, Flag.SEALED, None))
    posts = [kit.intent(ann, bob.inbox, Flag.SEALED, None) for _ in range(2)]
    shown = kit.intent(ann, bob.inbox, Flag.SEALED, None, token=b"t" * 16)

    def run(connection: object, now_ms: int) -> list[object]:
        from storage.batch import run_appends

        return list(run_appends(connection, [*posts, shown], now_ms, 0))  # type: ignore[arg-type]

    outcomes = await sqlite.engine.write(run)
    assert [getattr(outcome, "code", 0) for outcome in outcomes] == [0, Code.QUOTA, 0]


async def test_who_serves_everyone_knows_no_strangers(kit: Kit) -> None:
    (ann,) = await kit.people("ann")
    bot = await kit.person("bot")
    stored(
        await kit.store.accounts.publish_list(
            bot.account, 2, b"service", kit.clock.now_ms + 10**9, bot.devices, True, bot.device
        )
    )
    appended = stored(await kit.post(ann, bot.inbox, Flag.SEALED, None))
    assert appended.entries[0].flags == Flag.SEALED
