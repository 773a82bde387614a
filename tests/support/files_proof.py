"""Files, proved: a large one up and down while the relay is killed; the quota; what retention gives the disk back."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from protocol.limits import CHUNK_BYTES
from relay.demo.processes import Bell, Person, RelayProcess
from tests.support.proof import NotRun, check

STEP_S = 300  # one act on a busy machine
PIECE = 1 << 20
KEPT_S = 5
SERVER_MIB_MAX = 200  # resident, at its highest: an idle relay has about 90
CLIENT_MIB_MAX = 150


@dataclass
class Mover(Person):
    """Somebody who moves files: progress is kept."""

    progress: dict[int, dict[str, Any]] = field(default_factory=dict)

    def _notice(self, record: dict[str, Any]) -> None:
        super()._notice(record)
        if record["notice"] == "progress":
            self.progress[record["tag"]] = record

    async def begin(self, verb: str, **arguments: Any) -> int:
        """Start a transfer; the number under which it tells how far it is."""
        self._tag += 1
        assert self.process is not None
        assert self.process.stdin is not None
        line = json.dumps({"do": verb, "tag": self._tag, **arguments}) + "\n"
        await self.process.stdin.send_all(line.encode())
        return self._tag

    async def moved(self, tag: int, share: float) -> None:
        """Wait until a transfer has come so far."""

        def is_there() -> bool:
            now = self.progress.get(tag)
            return tag in self._replies or (now is not None and now["done"] >= share * now["total"])

        await self.until(is_there, f"{share:.0%} of a transfer", STEP_S)

    async def end(self, tag: int) -> dict[str, Any]:
        """The answer of a transfer."""
        await self.until(lambda: tag in self._replies, "the end of a transfer", STEP_S)
        return self._replies.pop(tag)


@dataclass
class Peaks:
    """The highest resident memory in MiB of processes that come and go."""

    highest: dict[str, float] = field(default_factory=dict)

    async def watch(self, name: str, process: Person | RelayProcess) -> None:
        """Look again and again; VmHWM is kept by the kernel, so nothing is missed in between."""
        while True:
            pid = None if process.process is None else process.process.pid
            for line in await trio.to_thread.run_sync(_status, pid):
                if line.startswith("VmHWM:"):
                    self.highest[name] = max(self.highest.get(name, 0.0), int(line.split()[1]) / 1024)
            await trio.sleep(0.05)


@dataclass
class Stage:
    """A relay and two people who know each other."""

    folder: Path
    relay: RelayProcess
    alice: Mover
    bob: Mover
    topic: str
    nursery: trio.Nursery
    config: Path

    async def restart(self) -> None:
        """The relay again, on the same directory and port."""
        await self.relay.start(self.nursery, "--config", str(self.config))

    @property
    def blobs(self) -> Path:
        """Where the relay keeps chunks."""
        return self.folder / "relay" / "blobs"

    async def said(self, person: Mover, message_id: str) -> None:
        """Wait until a message has reached somebody."""
        lines = person.lines
        await person.until(lambda: any(line.id == message_id for line in lines(self.topic)), "the message", STEP_S)


@asynccontextmanager
async def open_stage(settings: str = "") -> AsyncIterator[Stage]:
    """Everything below a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="chappe-files-") as name:
        folder = Path(name)
        config = folder / "relay.toml"
        config.write_text(settings)
        relay, bell = RelayProcess(folder / "relay", folder / "relay.log"), Bell()
        alice, bob = (Mover(who, folder / who, folder / f"{who}.log", bell) for who in ("alice", "bob"))
        async with trio.open_nursery() as nursery:
            await relay.start(nursery, "--config", str(config))
            try:
                for person in (alice, bob):
                    await person.start(nursery, relay.url)
                    await person.do("handle", name=person.name)
                await alice.do("add", handle="bob")
                await bob.do("add", handle="alice")
                topic = (await alice.do("pair", name="bob"))["topic"]
                stage = Stage(folder, relay, alice, bob, topic, nursery, config)
                await stage.said(bob, (await alice.do("send", topic=topic, text="hello"))["id"])
                yield stage
            finally:
                with trio.CancelScope(shield=True):
                    await alice.stop()
                    await bob.stop()
                    await relay.stop()
            nursery.cancel_scope.cancel()


def _status(pid: int | None) -> list[str]:
    try:
        return Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return []  # it was killed just now


def random_file(path: Path, size: int, seed: int) -> str:
    """Write a file of random bytes; its SHA-256."""
    source, whole = random.Random(seed), hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, size, PIECE):
            piece = source.randbytes(min(PIECE, size - start))
            whole.update(piece)
            file.write(piece)
    return whole.hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder, as their lengths add up."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0


def _free_mib(folder: Path) -> int:
    return shutil.disk_usage(folder).free >> 20


async def big_file(seed: int, mib: int = 200) -> dict[str, Any]:
    """A random file from one process to another, the relay killed with -9 in the middle of either way."""
    if _free_mib(Path(tempfile.gettempdir())) < 4 * mib:
        raise NotRun(f"{4 * mib} MiB of free disk are needed")
    async with open_stage() as stage, trio.open_nursery() as watchers:
        source, size = stage.folder / "film.bin", mib * PIECE
        digest = random_file(source, size, seed)
        chunks, peaks = -(-size // CHUNK_BYTES), Peaks()
        for name, process in (("relay", stage.relay), ("alice", stage.alice), ("bob", stage.bob)):
            watchers.start_soon(peaks.watch, name, process)
        began = trio.current_time()
        up = await stage.alice.begin("send-file", topic=stage.topic, path=str(source), caption="the film")
        await stage.alice.moved(up, 0.4)
        check(await stage.relay.kill() == -9, "the relay did not die of kill -9")
        await stage.restart()
        sent = await stage.alice.end(up)
        check("id" in sent, f"the upload failed: {sent.get('error')}")
        up_s, uploads = trio.current_time() - began, stage.alice.progress[up]
        await stage.said(stage.bob, sent["id"])
        began = trio.current_time()
        down = await stage.bob.begin("download", topic=stage.topic, id=sent["id"], path=str(stage.folder / "saved.bin"))
        await stage.bob.moved(down, 0.4)
        check(await stage.relay.kill() == -9, "the relay did not die of kill -9")
        await stage.restart()
        got = await stage.bob.end(down)
        check("path" in got, f"the download failed: {got.get('error')}")
        down_s = trio.current_time() - began
        check(sha256_of(Path(got["path"])) == digest, "the file that was saved is not the file that was sent")
        files = sum(1 for path in stage.blobs.rglob("*") if path.is_file())
        check(files == chunks, f"{files} chunk files at the relay for a file of {chunks}")
        watchers.cancel_scope.cancel()
        check(peaks.highest["relay"] < SERVER_MIB_MAX, f"the relay took {peaks.highest['relay']:.0f} MiB")
        for who in ("alice", "bob"):
            check(peaks.highest[who] < CLIENT_MIB_MAX, f"{who}'s client took {peaks.highest[who]:.0f} MiB")
    return {
        "MiB": mib, "chunks": chunks, "sent again up": uploads["again"],
        "up MiB/s": round(mib / up_s, 1), "down MiB/s": round(mib / down_s, 1),
        **{f"{name} MiB": round(value) for name, value in sorted(peaks.highest.items())},
    }  # fmt: skip


async def client_killed(seed: int, mib: int = 40) -> dict[str, Any]:
    """The sending client killed with -9 halfway: the next run goes on by itself; the receiving one too, when asked."""
    async with open_stage() as stage:
        source, size = stage.folder / "film.bin", mib * PIECE
        digest = random_file(source, size, seed)
        up = await stage.alice.begin("send-file", topic=stage.topic, path=str(source))
        await stage.alice.moved(up, 0.5)
        await stage.alice.kill()
        stage.alice.progress.clear()
        await stage.alice.start(stage.nursery, stage.relay.url)
        await stage.bob.until(lambda: len(stage.bob.lines(stage.topic)) > 1, "the message of the file", STEP_S)
        resumed = next(iter(stage.alice.progress.values()))
        message_id, target = stage.bob.lines(stage.topic)[-1].id, stage.folder / "saved.bin"
        down = await stage.bob.begin("download", topic=stage.topic, id=message_id, path=str(target))
        await stage.bob.moved(down, 0.5)
        await stage.bob.kill()
        check(not target.exists(), "a file lies under its name before it is whole")
        await stage.bob.start(stage.nursery, stage.relay.url)
        down = await stage.bob.begin("download", topic=stage.topic, id=message_id, path=str(target))
        got = await stage.bob.end(down)
        check("path" in got, f"the download failed: {got.get('error')}")
        check(sha256_of(target) == digest, "the file that was saved is not the file that was sent")
        chunks, there = size // CHUNK_BYTES, stage.bob.progress[down]["reused"]
        check(resumed["reused"] >= chunks // 2 - 8, f"only {resumed['reused']} of {chunks} chunks were used again")
        check(there >= chunks // 2 - 8, f"only {there} of {chunks} fetched chunks were used again")
    return {"chunks": chunks, "used again up": resumed["reused"], "used again down": there}


async def quota_and_retention(seed: int) -> dict[str, Any]:
    """507 at the quota; retention frees exactly the bytes that it claims, and makes room for the next file."""
    quota, size = 8 * PIECE, 5 * PIECE
    settings = f"blob_quota_bytes = {quota}\nretention_ms = {KEPT_S}000\nretention_every_ms = 1000\n"
    async with open_stage(settings) as stage:
        await trio.sleep(KEPT_S + 2)  # what founding the conversation has left is freed first
        earlier = _freed(stage.relay.log)
        paths = [stage.folder / "one.bin", stage.folder / "two.bin"]
        for number, path in enumerate(paths):
            random_file(path, size, seed + number)
        first = await stage.alice.end(await stage.alice.begin("send-file", topic=stage.topic, path=str(paths[0])))
        check("id" in first, f"the first file was refused: {first.get('error')}")
        second = await stage.alice.end(await stage.alice.begin("send-file", topic=stage.topic, path=str(paths[1])))
        check("files are in use" in str(second.get("error")), f"no refusal at the quota: {second}")
        await trio.sleep(1)  # chunks that were on their way when the first was refused are refused too
        before = disk_bytes(stage.blobs)
        check(size <= before <= quota, f"{before} bytes on disk under a quota of {quota}")
        with trio.fail_after(STEP_S):
            freed = await _next_freed(stage.relay.log, earlier)
        after = disk_bytes(stage.blobs)
        check(before - after == freed, f"retention says that it freed {freed} bytes; the disk says {before - after}")
        missing = await stage.bob.end(
            await stage.bob.begin("download", topic=stage.topic, id=first["id"], path=str(stage.folder / "late.bin"))
        )
        check("error" in missing, "a freed file was still there")
        third = await stage.alice.end(await stage.alice.begin("send-file", topic=stage.topic, path=str(paths[1])))
        check("id" in third, f"freed room is still taken: {third.get('error')}")
    return {"quota MiB": quota >> 20, "bytes on disk before": before, "freed": freed, "bytes on disk after": after}


async def _next_freed(log: Path, earlier: int) -> int:
    """Wait until retention claims more than ``earlier`` bytes; by how much."""
    while not (freed := _freed(log) - earlier):  # noqa: ASYNC110 - another process writes the log
        await trio.sleep(0.2)
    return freed


def _freed(path: Path) -> int:
    """Bytes of blobs that retention has claimed to have freed, by the relay's log."""
    total = 0
    for line in path.read_text().splitlines():
        if "retention" in line and "blob_bytes=" in line:
            total += int(line.partition("blob_bytes=")[2].split()[0])
    return total
