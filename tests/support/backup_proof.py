"""A history checker for backups: what was acknowledged before one began is there after it is restored, to the byte."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from protocol import frames as F
from protocol import requests as R
from protocol.errors import Code, Reason
from protocol.position import chain_hash, chain_start
from relay.demo.processes import RelayProcess, chappe
from tests.support.admission_load import now_ms
from tests.support.people import Person, group, message
from tests.support.proof import check
from tests.support.wire import Wire, open_wire

TOPICS = 4
BLOB_BYTES = 200_000
RATES = "publishes_per_s = 100000\nrequests_per_s = 100000\nconnects_per_s = 10000\n"


@dataclass
class Written:
    """What the relay has said is stored, by topic: (id, SHA-256 of the body) by offset."""

    acknowledged: dict[bytes, dict[int, tuple[bytes, bytes]]] = field(default_factory=dict)

    def copy(self) -> dict[bytes, dict[int, tuple[bytes, bytes]]]:
        """As of now."""
        return {topic: dict(entries) for topic, entries in self.acknowledged.items()}


@dataclass(frozen=True)
class Read:
    """What a relay has of a topic: (id, SHA-256 of the body, chain hash) by offset, and its GAPs."""

    entries: dict[int, tuple[bytes, bytes, bytes]]
    gaps: list[F.Gap]


async def write_on(wire: Wire, person: Person, topics: list[bytes], written: Written) -> None:
    """Publish in turns until cancelled; note what is acknowledged, and only then."""
    number = 0
    while True:
        number += 1
        topic = topics[number % len(topics)]
        pub = message(person, topic, b"%d of the proof" % number + os.urandom(100))
        result = await wire.ok(pub, F.PubResult)
        written.acknowledged.setdefault(topic, {})[result.offset] = (pub.id, hashlib.sha256(pub.body).digest())


async def read_all(wire: Wire, topic: bytes, start: tuple[int, int] | None = None) -> Read:
    """Read a topic from the beginning, or from a position, to its head; the chain is computed on the way."""
    seen = len(wire.heard)
    (result,) = await wire.subscribe(F.Subscription(topic, start or (1, 0)))
    generation, chain = result.generation, chain_start(topic)
    entries: dict[int, tuple[bytes, bytes, bytes]] = {}
    gaps: list[F.Gap] = []
    while True:
        while seen == len(wire.heard):
            await wire.receive()
        frame = wire.heard[seen]
        seen += 1
        if isinstance(frame, F.Gap) and frame.tid == result.tid:
            gaps.append(frame)
            generation = frame.generation
            check(start is not None or frame.hash == chain, f"the GAP at {frame.last} has another chain hash")
        elif isinstance(frame, F.Msg) and frame.tid == result.tid:
            chain = chain_hash(
                chain, generation, frame.offset, frame.account, frame.device, frame.id, frame.fence, frame.flags,
                frame.header, frame.body,
            )  # fmt: skip
            entries[frame.offset] = (frame.id, hashlib.sha256(frame.body).digest(), chain)
        elif isinstance(frame, F.Live) and frame.tid == result.tid:
            await wire.ask(F.Unsub(0, (result.tid,)))
            return Read(entries, gaps)


async def command(*arguments: str) -> dict[str, Any]:
    """Run a verb with ``--json``; what it printed."""
    done = await trio.run_process(chappe(*arguments, "--json"), capture_stdout=True, capture_stderr=True, check=False)
    check(done.returncode == 0, f"{arguments[0]}: {done.stderr.decode()[:400]}")
    return dict(json.loads(done.stdout))


@asynccontextmanager
async def _relay(home: Path, name: str) -> AsyncIterator[RelayProcess]:
    config = home / "relay.toml"
    config.write_text(RATES)
    relay = RelayProcess(home / name, home / f"{name}.log")
    async with trio.open_nursery() as nursery:
        await relay.start(nursery, "--config", str(config))
        try:
            yield relay
        finally:
            await relay.stop()


async def backup_and_restore(home: Path, seconds: float = 2.0) -> dict[str, Any]:
    """Back up a relay that is written to all the time, kill it, restore elsewhere, and compare."""
    alice, written, blob = Person("alice", now_ms()), Written(), os.urandom(BLOB_BYTES)
    digest, archive = hashlib.sha256(blob).digest(), home / "relay.tar"
    foundings = [group(alice, nonce=bytes([n + 1]) * 16) for n in range(TOPICS)]
    topics = [founding.topic for founding in foundings]
    async with _relay(home, "first") as relay:
        async with open_wire(relay.url) as wire, open_wire(relay.url) as reader:
            await wire.register(alice)
            await reader.login(alice.second(), list_version=2)
            signed = alice.signed(alice.devices(2, alice.second().device))
            await wire.request("devices.publish", R.PublishList(signed), int)
            for founding in foundings:
                await wire.ok(founding, F.PubResult)
            await wire.request("blobs.put", R.PutBlob(digest, blob), type(None))
            with_file = message(alice, topics[0], b"with a file")
            await wire.ok(msgspec.structs.replace(with_file, bundle=F.Bundle(blobs=(digest,))), F.PubResult)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write_on, wire, alice, topics, written)
                await trio.sleep(seconds)  # real time: a log to back up
                before = written.copy()
                manifest = await command("backup", str(home / "first"), str(archive))
                after = written.copy()
                await trio.sleep(seconds / 2)
                nursery.cancel_scope.cancel()
        async with open_wire(relay.url) as reader:
            await reader.login(alice)
            old = {topic: await read_all(reader, topic) for topic in topics}
        await relay.kill()
    done = await command("restore", str(archive), str(home / "second"))
    check(done["recovering"] == TOPICS and done["blobs_dropped"] == 0, f"restored: {done}")
    async with _relay(home, "second") as relay, open_wire(relay.url) as wire:
        await wire.login(alice)
        figures = await _compare(wire, topics, (before, after), old, done["generation"])
        found = await wire.request("blobs.get", R.GetBlob(digest), bytes)
        check(found == blob, "the file is another one")
        await _go_on(wire, alice, topics[0])
        freed = await command("admin", "retention", "--days", "0", "--data", str(home / "second"))
        check(freed["blob_bytes"] >= BLOB_BYTES, f"retention freed {freed}")
        left = [path for path in (home / "second" / "blobs").rglob("*") if path.is_file()]
        check(not left, f"{len(left)} files of freed blobs are left")
    return figures | {"in the backup": manifest["entries"], "blob bytes freed": freed["blob_bytes"]}


Acknowledged = dict[bytes, dict[int, tuple[bytes, bytes]]]


async def _compare(
    wire: Wire, topics: list[bytes], written: tuple[Acknowledged, Acknowledged], old: dict[bytes, Read], generation: int
) -> dict[str, Any]:
    """What was acknowledged before the backup began is there, at the same offset, with the same bytes and hash."""
    kept = lost = 0
    before, after = written
    for topic in topics:
        read = await read_all(wire, topic)
        for offset, (id_, body) in before[topic].items():
            check(read.entries.get(offset, (b"", b"", b""))[:2] == (id_, body), f"entry {offset} is lost or another")
        base = max(read.entries)
        same = all(read.entries[offset] == old[topic].entries[offset] for offset in read.entries)
        check(same and set(read.entries) == set(range(1, base + 1)), "the restored log is no beginning of the old one")
        borders = [(gap.generation, gap.first, gap.last, gap.reason) for gap in read.gaps]
        check(borders == [(generation, base + 1, base, F.GapReason.RESET)], f"the reader was told {borders}")
        check(read.gaps[0].hash == read.entries[base][2], "the border has another chain hash")
        ahead = await read_all(wire, topic, (1, max(old[topic].entries)))
        check(not ahead.entries and [gap.last for gap in ahead.gaps] == [base], "who was ahead was not taken back")
        kept, lost = kept + base, lost + max(old[topic].entries) - base
    during = sum(map(len, after.values())) - sum(map(len, before.values()))
    check(lost > 0, "nothing was written after the backup, so this run shows less than it says")
    return {"kept": kept, "stored during the backup": during, "of later ones lost": lost}


async def _go_on(wire: Wire, alice: Person, topic: bytes) -> None:
    """The conversation waits for a reset, and takes messages after it."""
    error = await wire.err(message(alice, topic, b"too early"))
    recovering = error.detail is not None and error.detail.reason == Reason.RECOVERING
    check(error.code == Code.CONFLICT and recovering and error.retry_ms is not None, f"it was answered {error}")
    assert error.detail is not None
    flags = int(F.Flag.COMMIT | F.Flag.RESET)
    reset = F.Pub(0, topic, alice.id(), None, flags, (2, 0), error.detail.offset, body=b"a fresh group")
    result = await wire.ok(reset, F.PubResult)
    check(result.offset == error.detail.offset + 1, f"the reset is at {result.offset}")
    said = F.Pub(0, topic, alice.id(), epoch=(2, 1), body=b"and on")
    check((await wire.ok(said, F.PubResult)).offset == result.offset + 1, "the first message after the reset")
