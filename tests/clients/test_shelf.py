"""The shelf: what a client knows comes back from the vault as it was saved."""

from __future__ import annotations

from typing import cast

import pytest
import trio

from clients import records as R
from clients.account import create_identity
from clients.shelf import Shelf, list_key, topic_name, word_key
from clients.vault import Vault
from protocol.identity import DeviceList, open_signed
from protocol.ids import TopicKind, inbox_topic, pair_topic
from protocol.position import Seen
from tests.support.clients import START_MS, MemoryVault, entropy_of, in_this_thread

PEER, TOPIC = bytes([9]) * 32, bytes([8]) * 32


def shelf_of(vault: MemoryVault) -> Shelf:
    return Shelf(cast("Vault", vault), lambda told: None, lambda: START_MS, entropy_of("anna"))


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> MemoryVault:
    monkeypatch.setattr(trio.to_thread, "run_sync", in_this_thread)
    made = MemoryVault()
    create_identity(cast("Vault", made), START_MS, entropy_of("identity"))
    return made


def devices_of(shelf: Shelf) -> DeviceList:
    return open_signed(shelf.identity.signed_list)


async def test_everything_comes_back(vault: MemoryVault) -> None:
    shelf = shelf_of(vault)
    talk = R.Conversation(TOPIC, TopicKind.GROUP, R.Status.ACTIVE)
    shelf.save(talk)
    talk.cursor = 5  # changed after `save`, before the commit: written as it is then
    rows = [R.Outgoing(shelf.next_number(), TOPIC, shelf.new_id(), R.Work.MESSAGE, 0) for _ in range(12)]
    for row in reversed(rows):
        shelf.save_outgoing(row)
    shelf.save_package(R.Package(b"ref", b"public", b"private", 1))
    shelf.save_welcome(R.PendingWelcome(shelf.next_number(), b"", TOPIC, 1, PEER))
    shelf.save_box(R.PendingBox(shelf.next_number(), PEER, PEER, b""))
    shelf.save_contact(R.Contact(PEER, "ben"))
    shelf.save_list(devices_of(shelf), shelf.identity.signed_list)
    shelf.inbox.cursor = 3
    shelf.save_inbox()
    shelf.identity.handle = "anna"
    shelf.save_identity()
    await shelf.journal.commit()
    again = shelf_of(vault)
    assert again.conversations == {TOPIC: talk}
    assert list(again.outgoing) == [row.number for row in rows]
    assert (list(again.packages), len(again.welcomes), len(again.boxes)) == ([b"ref"], 1, 1)
    assert again.contacts == shelf.contacts
    assert again.lists == {shelf.account: devices_of(shelf)}
    assert (again.inbox.cursor, again.identity.handle) == (3, "anna")
    assert again.inbox_topic == inbox_topic(again.account)
    assert again.next_number() == 15


async def test_what_is_dropped_is_gone(vault: MemoryVault) -> None:
    shelf = shelf_of(vault)
    row = R.Outgoing(shelf.next_number(), TOPIC, shelf.new_id(), R.Work.BOX, 0)
    welcome = R.PendingWelcome(shelf.next_number(), b"", TOPIC, 1, PEER)
    box = R.PendingBox(shelf.next_number(), PEER, PEER, b"")
    shelf.save_outgoing(row)
    shelf.save_welcome(welcome)
    shelf.save_box(box)
    shelf.save_package(R.Package(b"ref", b"public", b"private", 1))
    await shelf.journal.commit()
    shelf.drop_outgoing(row)
    shelf.drop_welcome(welcome)
    shelf.drop_box(box)
    shelf.drop_package(b"ref")
    await shelf.journal.commit()
    again = shelf_of(vault)
    assert [again.outgoing, again.welcomes, again.boxes, again.packages] == [{}, {}, {}, {}]
    assert {place for place, _ in vault.records} == {R.META}


def test_a_vault_of_nobody() -> None:
    with pytest.raises(LookupError, match="no identity"):
        shelf_of(MemoryVault())


def test_rows_sort_by_number() -> None:
    assert topic_name(2) < topic_name(10) < topic_name(2**40)


def test_the_other_of_a_pair(vault: MemoryVault) -> None:
    shelf = shelf_of(vault)
    pair = R.Conversation(pair_topic(shelf.account, PEER), TopicKind.PAIR, R.Status.WAITING)
    assert shelf.peer_of(pair) is None  # nothing tells yet
    shelf.save_contact(R.Contact(PEER, "ben"))
    assert shelf.peer_of(pair) == PEER
    pair.roster = {PEER: 4}
    shelf.contacts.clear()
    assert shelf.peer_of(pair) == PEER
    assert shelf.peer_of(R.Conversation(TOPIC, TopicKind.GROUP, R.Status.ACTIVE, roster={PEER: 4})) is None


def test_a_window_begins_where_we_are(vault: MemoryVault) -> None:
    """So that the first message after a restart is compared with something."""
    shelf = shelf_of(vault)
    talk = R.Conversation(TOPIC, TopicKind.GROUP, R.Status.ACTIVE, cursor=4, chain=bytes([4]) * 32)
    window = shelf.window(talk)
    assert window.check(Seen(1, 4, bytes([4]) * 32)) is True
    assert window.check(Seen(1, 4, bytes([5]) * 32)) is False
    assert window.check(Seen(1, 3, bytes([5]) * 32)) is None
    assert shelf.window(talk) is window
    fresh = R.Conversation(PEER, TopicKind.GROUP, R.Status.ACTIVE)
    assert shelf.window(fresh).check(Seen(1, 0, bytes(32))) is None


async def test_what_own_devices_share_comes_back_and_is_noticed(vault: MemoryVault) -> None:
    shelf, touched = shelf_of(vault), list[int]()
    shelf.touched = lambda: touched.append(1)
    pair = R.Conversation(pair_topic(shelf.account, PEER), TopicKind.PAIR, R.Status.ACTIVE, roster={PEER: 4})
    assert shelf.token_of(PEER) is None
    shelf.save_token(R.Token(PEER))
    assert shelf.token_of(PEER) is None
    shelf.save_token(R.Token(PEER, b"t" * 16))
    shelf.save_contact(R.Contact(PEER, "ben"))
    shelf.drop_contact(PEER)
    assert not shelf.is_silent(pair)
    shelf.save_blocked(PEER, blocked=True)
    assert shelf.is_silent(pair)
    shelf.save_identity()
    shelf.save_mute(TOPIC, START_MS + 1)
    shelf.save_mute(PEER, 0)
    shelf.save_read(TOPIC, 1, 5)
    assert len(touched) == 9
    shelf.save_read(TOPIC, 1, 4)  # never back
    assert len(touched) == 9
    await shelf.journal.commit()
    again = shelf_of(vault)
    assert again.token_of(PEER) == b"t" * 16
    assert not again.contacts
    assert again.blocked == {PEER}
    assert (again.is_muted(TOPIC), again.is_muted(PEER), again.is_muted(b"other")) == (True, False, False)
    assert again.reads == {TOPIC: (1, 5)}
    again.save_blocked(PEER, blocked=False)
    upload = R.Upload(b"f", b"k", TOPIC, "/tea", 1, 2, 3, "tea", "text/plain")
    again.journal.put(R.UPLOADS, upload.id, upload)
    await again.journal.commit()
    assert not shelf_of(vault).blocked
    assert shelf_of(vault).uploads() == [upload]


async def test_what_one_reads_and_does_not_want_to_see_comes_back(vault: MemoryVault) -> None:
    shelf, touched = shelf_of(vault), list[int]()
    shelf.touched = lambda: touched.append(1)
    shelf.save_follow(PEER, follows=True)
    shelf.save_hidden(word_key("sports"), "sports")
    for name in ("sea", "sky"):
        shelf.save_listed(list_key(name, PEER), name, PEER)
    await shelf.journal.commit()
    again = shelf_of(vault)
    assert (again.follows, set(again.hidden.values())) == ({PEER}, {"sports"})
    assert again.listed == {list_key(name, PEER): (name, PEER) for name in ("sea", "sky")}
    again.save_follow(PEER, follows=False)
    again.save_hidden(word_key("sports"), None)
    again.save_listed(list_key("sea", PEER), None, b"")
    await again.journal.commit()
    last = shelf_of(vault)
    assert (last.follows, last.hidden, last.listed) == (set(), {}, {list_key("sky", PEER): ("sky", PEER)})
    assert len(touched) == 4
