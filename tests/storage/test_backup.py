"""Backups: whole or not there, of one moment, and a new generation when they are restored."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from protocol.errors import Code, Reason
from protocol.frames import Flag
from storage import backup
from storage.base import Entry, StoreUnusable
from storage.sqlite import FILE, LOCK, RESTORING, prepare
from tests.contracts.kit import Clock, Kit, Person, empty_database, key, opened, refused, stored

NOW_MS = 1_900_000_000_000
LARGE = os.urandom(100_000)
SMALL = b"a small blob"
RESET = Flag.COMMIT | Flag.RESET


async def filled(data: Path, clock: Clock) -> bytes:
    """A store with a pair that has said something, a large and a small blob; the pair's topic."""
    async with opened("sqlite", data, clock) as store:
        kit = Kit(store, clock)
        ann, bob = await kit.people("ann", "bob")
        await store.key_packages.put(bob.account, bob.device, [b"once"], b"last")
        topic = await kit.pair(ann, bob)
        for blob in (LARGE, SMALL):
            await kit.say(ann, topic, b"with a file", blobs=(await kit.blob(blob),))
        await kit.say(bob, topic, b"the last that was backed up")
    (data / "cluster.id").write_text("c1\n")
    return topic


@pytest.fixture
async def made(tmp_path: Path) -> tuple[Path, bytes, Clock]:
    """(archive, topic, clock) of ``filled``."""
    clock, data = Clock(), tmp_path / "data"
    data.mkdir()
    topic = await filled(data, clock)
    backup.write(data, tmp_path / "one.tar", NOW_MS, ("cluster.id", "not there"))
    return tmp_path / "one.tar", topic, clock


async def test_what_was_stored_is_there_again(made: tuple[Path, bytes, Clock], tmp_path: Path) -> None:
    archive, topic, clock = made
    assert archive.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["data", "one.tar"]
    async with opened("sqlite", tmp_path / "data", clock) as store:
        before = await Kit(store, clock).log(topic)
    done = backup.restore(archive, tmp_path / "again", NOW_MS)
    assert (done.recovering, done.blobs_dropped, done.manifest.blobs, done.manifest.missing) == (1, 0, 1, 0)
    assert done.generation == NOW_MS // 1000
    assert (tmp_path / "again" / "cluster.id").read_text() == "c1\n"
    assert not (tmp_path / "again" / RESTORING).exists()
    async with opened("sqlite", tmp_path / "again", clock) as store:
        kit = Kit(store, clock)
        assert await kit.log(topic) == before
        for blob in (LARGE, SMALL):
            assert await store.blobs.get(hashlib.sha256(blob).digest()) == blob
        (state,) = [await store.topics.state(topic, key("ann"))]
        assert state is not None
        last = before[-1]
        assert isinstance(last, Entry)
        assert [(r.generation, r.base, r.hash) for r in state.restores] == [(done.generation, 4, last.hash)]
        claimed = await store.key_packages.claim([key("bob")])
        assert [package.last_resort for package in claimed] == [True]


async def test_a_restored_conversation_takes_a_reset_and_then_messages(
    made: tuple[Path, bytes, Clock], tmp_path: Path
) -> None:
    archive, topic, clock = made
    backup.restore(archive, tmp_path / "again", NOW_MS)
    async with opened("sqlite", tmp_path / "again", clock) as store:
        kit = Kit(store, clock)
        ann, bob = [Person(name, (key(f"{name}/0"),)) for name in ("ann", "bob")]
        said = refused(await kit.post(bob, topic, body=b"new"), Code.CONFLICT, Reason.RECOVERING)
        assert said.retry_ms
        refused(await kit.commit(ann, topic), Code.CONFLICT, Reason.RECOVERING)
        refused(await kit.leave(bob, topic), Code.CONFLICT, Reason.RECOVERING)
        refused(await kit.post(ann, topic, RESET, (1, 0), expect=4), Code.CONFLICT, Reason.STALE_FENCE)
        refused(await kit.post(ann, topic, RESET, (5, 1), expect=4), Code.CONFLICT, Reason.STALE_FENCE)
        refused(await kit.post(ann, topic, RESET, (5, 0), expect=3), Code.CONFLICT, Reason.EXPECT)
        entry = stored(await kit.post(ann, topic, RESET, (5, 0), expect=4)).entries[0]
        assert (entry.generation, entry.offset) == (NOW_MS // 1000, 5)
        refused(await kit.post(bob, topic, RESET, (7, 0), expect=5), Code.CONFLICT, Reason.STALE_FENCE)
        assert stored(await kit.post(bob, topic, epoch=(5, 1), body=b"new")).offset == 6
        await kit.log(topic)  # the chain goes on over the border
        await kit.person("carl")  # a topic that is new begins at generation 1


async def test_a_second_restore_has_a_generation_of_its_own(made: tuple[Path, bytes, Clock], tmp_path: Path) -> None:
    archive, topic, clock = made
    one = backup.restore(archive, tmp_path / "one", NOW_MS)
    other = backup.restore(archive, tmp_path / "other", NOW_MS + 5000)
    assert other.generation > one.generation
    backup.write(tmp_path / "one", tmp_path / "two.tar", NOW_MS)
    again = backup.restore(tmp_path / "two.tar", tmp_path / "third", 0)  # a clock that is wrong
    assert again.generation == one.generation + 1
    async with opened("sqlite", tmp_path / "third", clock) as store:
        state = await store.topics.state(topic, key("ann"))
        assert state is not None
        assert [restored.base for restored in state.restores] == [4, 4]


def test_nothing_is_replaced(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(backup.BackupError, match="holds no chappe"):
        backup.write(data, tmp_path / "one.tar", NOW_MS)
    data.mkdir()
    (data / FILE).write_bytes(empty_database())
    backup.write(data, tmp_path / "one.tar", NOW_MS)
    with pytest.raises(backup.BackupError, match="exists already"):
        backup.write(data, tmp_path / "one.tar", NOW_MS)
    with pytest.raises(backup.BackupError, match="not empty"):
        backup.restore(tmp_path / "one.tar", data, NOW_MS)
    with pytest.raises(backup.BackupError, match="not empty"):
        backup.restore(tmp_path / "one.tar", tmp_path / "one.tar", NOW_MS)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert backup.restore(tmp_path / "one.tar", empty, NOW_MS).recovering == 0


def test_a_disk_that_takes_nothing_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / FILE).write_bytes(empty_database())
    with pytest.raises(backup.BackupError, match="could not be written"):
        backup.write(data, tmp_path / "no such directory" / "one.tar", NOW_MS)
    (data / FILE).write_bytes(b"no database at all" * 1000)
    with pytest.raises(backup.BackupError, match="not a database"):
        backup.write(data, tmp_path / "one.tar", NOW_MS)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_damaged_database_is_not_backed_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    damaged = bytearray(empty_database())
    (data / FILE).write_bytes(damaged)
    with closing(sqlite3.connect(data / FILE)) as whole:
        (page,) = whole.execute("SELECT rootpage FROM sqlite_master WHERE name = 'entries'").fetchone()
    damaged[(page - 1) * 4096 : (page - 1) * 4096 + 200] = b"\xa5" * 200
    (data / FILE).write_bytes(damaged)
    with pytest.raises(backup.BackupError, match="damaged"):
        backup.write(data, tmp_path / "one.tar", NOW_MS)


async def test_blobs_that_are_gone_or_damaged_are_left_out(tmp_path: Path) -> None:
    clock, data = Clock(), tmp_path / "data"
    data.mkdir()
    topic = await filled(data, clock)
    name = hashlib.sha256(LARGE).hexdigest()
    file = data / "blobs" / name[:2] / name
    file.write_bytes(b"rotten")
    backup.write(data, tmp_path / "rotten.tar", NOW_MS)
    file.unlink()
    assert backup.write(data, tmp_path / "gone.tar", NOW_MS).missing == 1
    for archive in ("rotten", "gone"):
        done = backup.restore(tmp_path / f"{archive}.tar", tmp_path / archive, NOW_MS)
        assert done.blobs_dropped == 1
        async with opened("sqlite", tmp_path / archive, clock) as store:
            assert len(await Kit(store, clock).log(topic)) == 4
            assert await store.blobs.get(bytes.fromhex(name)) is None
            assert await store.blobs.get(hashlib.sha256(SMALL).digest()) == SMALL


def rewritten(archive: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]) -> Path:
    """A copy of an archive with changes to its members."""
    with tarfile.open(archive) as tar:
        members = [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar]
    change(members)
    target = archive.with_name("changed.tar")
    with tarfile.open(target, "w") as tar:
        for member, data in members:
            if member.isreg():
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def named(name: str, type_: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A member as somebody else would put it there."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = type_, link
    return member, b""


def manifest(**changes: object) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]:
    """Another manifest."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        values = json.loads(members[-1][1]) | changes
        members[-1] = (members[-1][0], json.dumps(values).encode())

    return change


CHANGES: dict[str, tuple[Callable[[list[tuple[tarfile.TarInfo, bytes]]], object], str]] = {
    "cut off": (lambda members: members.pop(), "its manifest is missing"),
    "something behind the manifest": (lambda members: members.append(named("x")), "which no backup"),
    "a path out of it": (lambda members: members.insert(0, named("../evil")), "which no backup"),
    "an absolute path": (lambda members: members.insert(0, named("/tmp/evil")), "which no backup"),
    "a link": (lambda members: members.insert(0, named("a.db", tarfile.SYMTYPE, "/etc/passwd")), "which no backup"),
    "a lock": (lambda members: members.insert(0, named(LOCK)), "which no backup"),
    "a file twice": (lambda members: members.insert(0, named(FILE)), "could not be restored"),
    "a blob of another name": (lambda members: members.insert(0, named("blobs/ab/cd")), "which no backup"),
    "a changed file": (lambda members: members.insert(1, named("added")), "damaged"),
    "no database": (manifest(files=[]), "damaged"),
    "a newer format": (manifest(format=2), "newer version"),
    "a manifest that is none": (manifest(added=1), "its manifest is missing"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_is_no_whole_backup_leaves_the_directory_as_it_was(
    name: str, made: tuple[Path, bytes, Clock], tmp_path: Path
) -> None:
    change, said = CHANGES[name]
    archive = rewritten(made[0], change)
    for data in (tmp_path / "new", tmp_path / "empty"):
        if data.name == "empty":
            data.mkdir()
        with pytest.raises(backup.BackupError, match=said):
            backup.restore(archive, data, NOW_MS)
        assert data.exists() == (data.name == "empty")
        assert not data.exists() or list(data.iterdir()) == []


async def test_bytes_that_are_missing(made: tuple[Path, bytes, Clock], tmp_path: Path) -> None:
    whole = made[0].read_bytes()
    for size in (0, 100, 700, len(whole) // 2, len(whole) - 10_240 - 1500):
        cut = tmp_path / "cut.tar"
        cut.write_bytes(whole[:size])
        with pytest.raises(backup.BackupError):
            backup.restore(cut, tmp_path / "new", NOW_MS)
        assert not (tmp_path / "new").exists()


async def test_a_backup_of_a_newer_version(made: tuple[Path, bytes, Clock], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data" / FILE) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    backup.write(tmp_path / "data", tmp_path / "newer.tar", NOW_MS)
    with pytest.raises(backup.BackupError, match="a newer version"):
        backup.restore(tmp_path / "newer.tar", tmp_path / "new", NOW_MS)


def test_no_relay_starts_on_half_a_restoration(tmp_path: Path) -> None:
    (tmp_path / RESTORING).touch()
    with pytest.raises(StoreUnusable, match="is not whole"):
        prepare(tmp_path / FILE)
    assert not (tmp_path / FILE).exists()
