"""Whom a load speaks as: accounts, devices and conversations, registered through the real protocol and kept.

A *crowd* is a data directory of a relay and, for every prefix in it, files with a line for each connection (account,
device, seed of the device's key) and one for each group (its topic), as ``dialects/ours.dialect`` reads them. It is
made once and copied for every run, so each run begins with the same relay.

A conversation is larger here than it may be founded (1,000 devices): its accounts are let in with one device each and
publish their other devices afterwards.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import trio

from protocol import frames as F
from protocol import ids
from protocol import requests as R
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.limits import COMMIT_SPACING_MS, DEVICES_MAX
from relay.demo.processes import RelayProcess
from tests.support.people import Person, commit, seed
from tests.support.proof import ROOT
from tests.support.wire import open_wire

HOME: Final = ROOT / "build" / "bench"
AT_ONCE: Final = 16  # connections that register at the same time
ADDED_MAX: Final = 100  # accounts that one commit lets in
FOUND_AT_ONCE: Final = 32
OLD_S: Final = 20 * 86_400  # device lists live 30 days
#: Nothing here is about what an operator allows.
CONFIG: Final = """
publishes_per_s = 10000000
ephemerals_per_s = 10000000
requests_per_s = 10000000
bytes_per_s = 10000000000
account_share = 100000
address_share = 100000
connects_per_s = 1000000
connections_max = 100000
connections_per_address_max = 100000
connections_per_account_max = 100000
meters_max = 1000000
topics_per_day = 1000000
log_level = "warning"
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """``groups`` topics of ``members`` connections each; ``prefix`` names the files."""

    prefix: str
    groups: int
    members: int


#: Data directories by name, and who is in them.
CROWDS: Final[dict[str, tuple[Shape, ...]]] = {
    "small": (Shape("fan", 1, 5120), Shape("pair", 500, 2), Shape("room", 100, 21)),
    "large": (Shape("fan", 1, 20_032), Shape("idle", 20_000, 1)),
}


class Account:
    """An account with numbered devices."""

    def __init__(self, prefix: str, number: int, devices: int) -> None:
        self.person = Person(f"{prefix}-{number}", time.time_ns() // 1_000_000)
        self.keys = [self.person.key] + [SigningKey(seed(prefix, number, device)) for device in range(1, devices)]

    def signed(self, version: int, devices: int) -> bytes:
        """The device list with the first ``devices``."""
        return self.person.signed(self.person.devices(version, *(key.public for key in self.keys[1:devices])))


def of_shape(shape: Shape) -> list[Account]:
    """The accounts of a crowd; connection n of it is device n, counted through all of them."""
    if shape.members == 2:
        return [Account(shape.prefix, number, 1) for number in range(2 * shape.groups)]
    if 1 < shape.members <= DEVICES_MAX:
        return [Account(shape.prefix, number, shape.members) for number in range(shape.groups)]
    return [Account(shape.prefix, number, DEVICES_MAX) for number in range(-(-shape.groups * shape.members // 32))]


async def register(url: str, accounts: list[Account], devices: int | None, version: int = 1) -> None:
    """Publish device lists: the first ``devices`` of each account, or all."""
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def one(account: Account) -> None:
        async with limiter, open_wire(url) as wire:
            await wire.login(account.person)
            signed = account.signed(version, devices or len(account.keys))
            assert await wire.request("devices.publish", R.PublishList(signed), int) == version

    async with trio.open_nursery() as nursery:
        for account in accounts:
            nursery.start_soon(one, account)


def _founding(person: Person, topic: bytes, create: F.Create, *others: Person) -> F.Pub:
    role = F.Role.OWNER if create.peer else F.Role.MEMBER
    change = F.AccessChange(added=tuple((other.account, role) for other in others))
    return F.Pub(
        0, topic, person.id(), flags=F.Flag.COMMIT | F.Flag.ACCESS, epoch=(1, 0), header=encode_struct(change),
        body=b"commit", bundle=F.Bundle(create),
    )  # fmt: skip


async def _found_all(url: str, person: Person, pubs: list[F.Pub]) -> None:
    async with open_wire(url) as wire:
        await wire.login(person)
        for start in range(0, len(pubs), FOUND_AT_ONCE):
            some = [msgspec.structs.replace(pub, rid=wire.rid()) for pub in pubs[start : start + FOUND_AT_ONCE]]
            await wire.send(*some)
            for pub in some:
                answer = await wire.answer(pub.rid)
                assert isinstance(answer, F.Ok), answer


async def _one_large(url: str, accounts: list[Account]) -> bytes:
    """One conversation with everybody, let in by commits that keep their distance in time."""
    founder = accounts[0].person
    others = [account.person for account in accounts[1:]]
    nonce = seed(founder.name, "large")[:16]
    topic = ids.group_topic(founder.account, nonce)
    async with open_wire(url) as wire:
        await wire.login(founder)
        first = _founding(founder, topic, F.Create(ids.TopicKind.GROUP, nonce), *others[:ADDED_MAX])
        await wire.ok(first, F.PubResult)
        for fence, start in enumerate(range(ADDED_MAX, len(others), ADDED_MAX), 1):
            await trio.sleep(COMMIT_SPACING_MS / 1000 + 0.1)
            added = tuple(others[start : start + ADDED_MAX])
            await wire.ok(commit(founder, topic, added=added, fence=fence), F.PubResult)
    return topic


async def found(url: str, shape: Shape, accounts: list[Account]) -> list[bytes]:
    """The topics of all groups, founded."""
    if shape.members > DEVICES_MAX:
        return [await _one_large(url, accounts)]
    topics: list[bytes] = []
    limiter = trio.CapacityLimiter(AT_ONCE)
    by_founder: list[tuple[Person, list[F.Pub]]] = []
    for group in range(shape.groups):
        if shape.members == 2:
            one, other = accounts[2 * group].person, accounts[2 * group + 1].person
            topic = ids.pair_topic(one.account, other.account)
            pub = _founding(one, topic, F.Create(ids.TopicKind.PAIR, peer=other.account), other)
            by_founder.append((one, [pub]))
        else:
            account = accounts[group * shape.members // len(accounts[0].keys)]
            nonce = seed(shape.prefix, "group", group)[:16]
            topic = ids.group_topic(account.person.account, nonce)
            pub = _founding(account.person, topic, F.Create(ids.TopicKind.GROUP, nonce))
            if not by_founder or by_founder[-1][0] is not account.person:
                by_founder.append((account.person, []))
            by_founder[-1][1].append(pub)
        topics.append(topic)

    async def limited(person: Person, pubs: list[F.Pub]) -> None:
        async with limiter:
            await _found_all(url, person, pubs)

    async with trio.open_nursery() as nursery:
        for person, pubs in by_founder:
            nursery.start_soon(limited, person, pubs)
    return topics


def write_lines(folder: Path, shape: Shape, accounts: list[Account], topics: list[bytes]) -> None:
    """The files that the dialect reads, as hexadecimal digits."""
    devices = [(account.person.account, key) for account in accounts for key in account.keys]
    columns = {
        "account": [account for account, _ in devices], "device": [key.public for _, key in devices],
        "seed": [key.seed for _, key in devices], "topic": topics,
    }  # fmt: skip
    for name, values in columns.items():
        (folder / f"{shape.prefix}.{name}").write_text("".join(value.hex() + "\n" for value in values))


async def _make(folder: Path, shapes: tuple[Shape, ...]) -> None:
    config = folder / "relay.toml"
    config.write_text(CONFIG)
    relay = RelayProcess(folder / "data", folder / "relay.log")
    async with trio.open_nursery() as nursery:
        await relay.start(nursery, "--config", str(config))
        try:
            for shape in shapes:
                accounts = of_shape(shape)
                is_large = shape.members > DEVICES_MAX
                await register(relay.url, accounts, 1 if is_large else None)
                topics = await found(relay.url, shape, accounts)
                if is_large:
                    await register(relay.url, accounts, None, version=2)
                write_lines(folder, shape, accounts, topics)
                await _try(relay.url, accounts[-1].person, topics[-1])
        finally:
            await relay.stop()


async def _try(url: str, person: Person, topic: bytes) -> None:
    """The last account can follow the last topic."""
    async with open_wire(url) as wire:
        await wire.login(person)
        (result,) = await wire.subscribe(F.Subscription(topic))
        assert result.tid, result


def _version() -> str:
    """Changes when what is kept may not fit this relay any more."""
    digest = hashlib.sha256(repr(CROWDS).encode())
    for path in sorted((ROOT / "storage").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def crowd(name: str) -> Path:
    """The directory of a crowd, made first where there is none (seconds for "small", minutes for "large")."""
    folder = HOME / "crowds" / f"{name}-{_version()}"
    if folder.exists() and time.time() - folder.stat().st_mtime < OLD_S:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    began = time.monotonic()
    trio.run(_make, fresh, CROWDS[name])
    fresh.rename(folder)
    print(f"registered the crowd '{name}' in {time.monotonic() - began:.0f} s", flush=True)
    return folder
