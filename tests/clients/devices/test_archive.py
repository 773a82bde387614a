"""Archives: what goes in comes out, in order, under one key only."""

from __future__ import annotations

import zlib

import msgspec
import pytest
from nacl import bindings as sodium

from clients import records as R
from clients.devices import archive
from clients.events import Received
from clients.records import Status
from protocol.errors import RemoteProtocolError
from protocol.ids import TopicKind
from tests.support.clients import MemoryVault, entropy_of, events_of, group_of, open_world

KEY = b"k" * 32
EMPTY = archive.Archive("me", (), (), (), (), (), b"", (), ())


def test_pieces_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", 50)
    entropy = entropy_of("pieces")
    whole = msgspec.structs.replace(EMPTY, events=tuple((bytes(32), entropy(40)) for _ in range(20)))
    pieces = list(archive.seal(whole, KEY, entropy))
    assert len(pieces) > 3
    assert archive.unseal([blob for _, blob in pieces], KEY) == whole
    for wrong in ([b for _, b in pieces[1:]], [b for _, b in reversed(pieces)], [b""]):
        with pytest.raises(RemoteProtocolError, match="does not open"):
            archive.unseal(wrong, KEY)
    with pytest.raises(RemoteProtocolError):
        archive.unseal([blob for _, blob in pieces], b"x" * 32)


@pytest.mark.parametrize("data", [b"not packed", zlib.compress(b"\xc1")])
def test_what_opens_and_is_no_archive(data: bytes) -> None:
    nonce = bytes(24)
    blob = nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(data, archive._bound(0, 1), nonce, KEY)
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        archive.unseal([blob], KEY)


async def test_everything_but_secrets_of_conversations_is_collected(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob")
        await alice.add_contact(bob.account, "bob")
        for number in range(3):
            await talk.send(f"number {number}")
        await world.settle()
        shelf = alice.engine.shelf
        lists = archive.signed_lists(shelf.vault)
        found = archive.collect(shelf, lists)
        assert {known.account for known in found.lists} == {alice.account, bob.account}
        (waiting,) = found.conversations
        assert (waiting.status, waiting.archived, waiting.lost_at) == (Status.WAITING, *[talk.record.cursor] * 2)
        assert [contact.name for contact in found.contacts] == ["bob"]
        events = archive.read_events(shelf.vault, shelf.vault.last_seq())
        assert len(events) == shelf.vault.last_seq()
        assert archive.read_events(shelf.vault, 2) == events[:2]
        vault = MemoryVault()
        full = msgspec.structs.replace(found, events=events)
        archive.install(vault, shelf.identity, R.InboxCursor(1, 7), full)  # type: ignore[arg-type]
        assert [value for _, value in vault.events(0, 100)] == [value for _, value in events]
        assert [value for _, value in vault.events(0, 100, talk.topic)] == [v for t, v in events if t == talk.topic]
        assert len(events_of(alice, Received)) == 3


async def test_own_and_unfounded_conversations_stay_at_home(autojump_clock: object) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        shelf = alice.engine.shelf
        for topic, kind, status in (
            (b"s" * 32, TopicKind.SELF, Status.ACTIVE),
            (b"f" * 32, TopicKind.GROUP, Status.FOUNDING),
            (b"l" * 32, TopicKind.GROUP, Status.LEFT),
        ):
            shelf.conversations[topic] = R.Conversation(topic, kind, status)
        (left,) = archive.collect(shelf, {}).conversations
        assert (left.topic, left.status) == (b"l" * 32, Status.LEFT)
        shelf.conversations.clear()
        vault = MemoryVault()
        blocked = msgspec.structs.replace(
            archive.collect(shelf, {}), blocked=(b"b" * 32,), tokens=(R.Token(b"t" * 32, b"1" * 16),)
        )
        archive.install(vault, shelf.identity, R.InboxCursor(), blocked, b"linking")  # type: ignore[arg-type]
        assert vault.get(R.BLOCKS, b"b" * 32)
        assert vault.get(R.TOKENS, b"t" * 32)
        assert vault.get(R.META, b"linking") == b"linking"
