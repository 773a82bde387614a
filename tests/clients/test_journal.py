"""Checkpoint, then speak: what is told or sent follows a commit, in order and without holes, or never happens."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
import trio
import trio.testing

from clients.client import open_client
from clients.events import AnyEvent, AnyNotice, CaughtUp, Connected, Forked, Received, Removed, Stored
from clients.journal import Journal
from clients.vault import Batch, Secret, Vault, VaultError
from tests.support.clients import MemoryVault, events_of, open_world, texts

TOPIC, ID = bytes([7]) * 32, bytes(16)


class Lab:
    """A journal over a vault that can be held, with everything noted that leaves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.vault = MemoryVault()
        self.told: list[AnyEvent | AnyNotice] = []
        self.journal = Journal(cast("Vault", self.vault), self.told.extend)
        monkeypatch.setattr(trio.to_thread, "run_sync", self._run)

    async def _run(self, function: Any, *args: Any) -> Any:
        await trio.lowlevel.checkpoint()
        await self.vault.turn()
        return function(*args)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(monkeypatch)


def stored(offset: int = 1) -> Stored:
    return Stored(topic=TOPIC, id=ID, offset=offset)


async def test_nothing_leaves_before_the_commit(lab: Lab, nursery: trio.Nursery) -> None:
    nursery.start_soon(lab.journal.run)
    lab.vault.hold()
    sent: list[str] = []
    lab.journal.put("a", b"1", b"one")
    lab.journal.tell(stored())
    lab.journal.after(lambda: sent.append("frame"))
    await trio.testing.wait_all_tasks_blocked()
    assert (sent, lab.told) == ([], [])
    assert lab.journal.statistics().waiting == 0  # taken, and on its way
    lab.vault.release()
    await trio.testing.wait_all_tasks_blocked()
    assert sent == ["frame"]
    assert lab.told == [Stored(topic=TOPIC, id=ID, offset=1, seq=1)]
    assert lab.vault.get("a", b"1") == b"one"


async def test_what_is_noted_meanwhile_belongs_to_the_next_commit(lab: Lab, nursery: trio.Nursery) -> None:
    nursery.start_soon(lab.journal.run)
    lab.vault.hold()
    lab.journal.put("a", b"1", b"one")
    await trio.testing.wait_all_tasks_blocked()
    lab.journal.put("a", b"1", b"two")
    lab.journal.tell(stored())
    assert lab.journal.statistics().waiting == 2
    lab.vault.release()
    await lab.journal.flushed()
    assert lab.vault.commits == 2
    assert lab.journal.statistics().commits == 2
    assert lab.journal.statistics().events == 1


async def test_events_are_numbered_without_holes_over_restarts(lab: Lab) -> None:
    for offset in (1, 2):
        lab.journal.tell(stored(offset))
    await lab.journal.commit()
    again = Journal(cast("Vault", lab.vault), lab.told.extend)
    again.tell(stored(3))
    await again.commit()
    assert [event.seq for event in lab.told if isinstance(event, Stored)] == [1, 2, 3]
    assert [seq for seq, _ in lab.vault.events(0, 10)] == [1, 2, 3]


async def test_notices_are_told_and_not_kept(lab: Lab) -> None:
    lab.journal.tell(Connected(url="ws://x"))
    await lab.journal.commit()
    assert lab.told == [Connected(url="ws://x")]
    assert lab.vault.commits == 0


async def test_caught_up_names_the_last_event_before_it(lab: Lab) -> None:
    lab.journal.tell(stored())
    lab.journal.tell(CaughtUp(topic=TOPIC, offset=1, seq=lab.journal.last_seq))
    lab.journal.tell(stored(2))
    await lab.journal.commit()
    assert [item.seq for item in lab.told if isinstance(item, CaughtUp)] == [1]


async def test_late_writes_happen_once_when_the_batch_is_taken(lab: Lab) -> None:
    value = [b"first"]
    for _ in range(3):
        lab.journal.put_late("key", lambda: lab.journal.put("a", b"1", value[0]))
    value[0] = b"last"
    await lab.journal.commit()
    assert lab.vault.get("a", b"1") == b"last"
    lab.journal.put("a", b"1", None)
    await lab.journal.commit()
    assert lab.vault.get("a", b"1") is None


async def test_a_stop_does_not_drop_what_was_taken(lab: Lab, nursery: trio.Nursery) -> None:
    """Or the events noted after it would have a hole before them."""
    lab.vault.hold()
    with trio.CancelScope() as scope:
        nursery.start_soon(lab.journal.run)
        lab.journal.tell(stored())
        scope.cancel()
        nursery.cancel_scope.cancel()
        lab.vault.release()
        await trio.testing.wait_all_tasks_blocked()
    with trio.CancelScope(shield=True):
        lab.journal.tell(stored(2))
        await lab.journal.commit()
        assert [seq for seq, _ in lab.vault.events(0, 10)] == [1, 2]


async def test_a_stop_before_the_commit_starts(lab: Lab) -> None:
    lab.journal.tell(stored())
    with trio.CancelScope() as scope:
        scope.cancel()
        await lab.journal.commit()
    assert lab.vault.last_seq() == 1
    assert len(lab.told) == 1


async def test_after_a_failure_nothing_of_the_batch_was_told(lab: Lab) -> None:
    sent: list[str] = []
    lab.vault.failing = True
    lab.journal.tell(stored())
    lab.journal.after(lambda: sent.append("frame"))
    with pytest.raises(VaultError):
        await lab.journal.run()
    assert (sent, lab.told, lab.vault.last_seq()) == ([], [], 0)


async def test_a_vault_that_fails_stops_the_client(autojump_clock: trio.testing.MockClock) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        talk = await alice.pair(bob.account)
        await world.settle()
        world.vaults["bob"].failing = True
        await talk.send("hello")
        await world.settle()
        assert isinstance(world.failures["bob"], VaultError)
        assert all(event.seq <= world.vaults["bob"].last_seq() for event in world.told["bob"])
        assert texts(bob, talk.topic) == []
        world.vaults["bob"].failing = False
        bob = await world.start("bob")
        await world.settle()
        assert texts(bob, talk.topic) == ["hello"]


async def test_a_real_disk_that_is_full(tmp_path: Path) -> None:
    """The error reaches whoever runs the client, as itself."""
    vault = Vault(tmp_path / "vault.db", Secret("key", bytes(32)))

    async def fill() -> None:
        async with open_client("ws://127.0.0.1:1/ws", vault) as client:
            vault._db.execute("PRAGMA max_page_count=1")
            await client.add_contact(bytes(32), "x" * 100_000)

    with closing(vault), pytest.raises(VaultError, match="cannot be written"):
        await fill()


async def test_a_crash_between_commits_loses_only_what_nobody_heard_of(autojump_clock: trio.testing.MockClock) -> None:
    async with open_world() as world:
        alice, bob = await world.people("alice", "bob")
        talk = await alice.pair(bob.account)
        await talk.send("one")
        await world.settle()
        world.vaults["bob"].hold()
        await talk.send("two")
        await world.settle()
        assert "two" not in texts(bob, talk.topic)
        await world.crash("bob")
        bob = await world.start("bob")
        await world.settle()
        assert texts(bob, talk.topic) == ["one", "two"]
        assert [event.seq for event in events_of(bob, Stored)] == []


async def test_what_happens_in_a_diverted_topic_is_no_news(autojump_clock: object) -> None:
    told: list[object] = []
    heard: list[object] = []
    journal = Journal(cast("Vault", MemoryVault()), told.extend)
    journal.divert(b"own", heard.append)
    other, own = Removed(topic=b"other", by=b"b"), Removed(topic=b"own", by=b"b")
    forked = Forked(topic=b"own", account=b"a", offset=3)
    for event in (own, CaughtUp(topic=b"own", offset=1, seq=0), other, forked, Connected(url="x")):
        journal.tell(event)
    await journal.commit()
    assert heard == [own]
    assert told == [msgspec.structs.replace(other, seq=1), msgspec.structs.replace(forked, seq=2), Connected(url="x")]


async def test_everybody_who_listens_hears_what_is_told(autojump_clock: object) -> None:
    heard: list[object] = []
    journal = Journal(cast("Vault", MemoryVault()), lambda told: None)
    journal.listen(heard.append)
    journal.listen(heard.append)
    journal.divert(b"own", lambda event: None)
    one = Received(topic=b"t", offset=1, id=b"i", account=b"a", device=b"d", ts=0, content=b"c")
    events: tuple[AnyEvent, ...] = (one, msgspec.structs.replace(one, topic=b"own"), Removed(topic=b"t", by=b"b"))
    for event in events:
        journal.tell(event)
    assert heard == [one, one]
    await journal.commit()


async def test_nothing_is_written_over_a_hole(autojump_clock: object) -> None:
    class Full(MemoryVault):
        tries = 0

        def commit(self, batches: Sequence[Batch]) -> None:
            self.tries += 1
            raise VaultError("the disk is full")

    vault = Full()
    journal = Journal(cast("Vault", vault), lambda told: None)
    for _ in range(2):
        journal.put("place", b"name", b"value")
        with pytest.raises(VaultError, match="full"):
            await journal.commit()
    assert vault.tries == 1
