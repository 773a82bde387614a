"""A whole relay from its settings, and the life of its process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from protocol import frames as F
from relay import log
from relay import run as module
from relay.bounds import DRAIN_COMMIT_MS
from relay.config import ConfigError, Settings
from relay.node import Node
from relay.run import Running, cluster_id, make_directory, open_running, run_until_signal
from relay.testing import small
from storage.base import StoreUnusable
from tests.support.certificates import certificate
from tests.support.people import Person, group, message
from tests.support.waiting import until
from tests.support.wire import open_wire


def settings(data: Path, **changes: object) -> Settings:
    """Settings of a test in a directory."""
    return small(data=str(data), **changes)


async def get(url: str, path: str) -> bytes:
    """An HTTP answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return b"".join([bytes(chunk) async for chunk in stream])


async def test_everything_of_one_relay(tmp_path: Path) -> None:
    async with open_running(settings(tmp_path)) as running:
        assert (await get(running.ops_url, "/healthz")).endswith(b"ok\n")
        async with open_wire(running.url) as wire:
            await wire.register(Person("alice", running.node.relay.clock_ms()))
            assert wire.heard[0].cluster == cluster_id(tmp_path)  # type: ignore[union-attr]
        assert b"chappe_logins_total 1.0" in await get(running.ops_url, "/metrics")
    async with open_running(settings(tmp_path)) as running, open_wire(running.url) as wire:
        assert (await wire.login(Person("alice", running.node.relay.clock_ms()))).registered


async def test_a_second_relay_on_the_same_directory(tmp_path: Path) -> None:
    async with open_running(settings(tmp_path)):
        with pytest.RaisesGroup(StoreUnusable, allow_unwrapped=True, flatten_subgroups=True):
            async with open_running(settings(tmp_path)):
                raise AssertionError("not reached")


async def test_a_port_in_use(tmp_path: Path) -> None:
    async with open_running(settings(tmp_path / "one")) as running:
        for key, address in (("port", running.node.address), ("ops_port", running.ops_url)):
            taken = settings(tmp_path / key, **{key: int(address.rpartition(":")[2])})
            with pytest.RaisesGroup(ConfigError, allow_unwrapped=True, flatten_subgroups=True):
                async with open_running(taken):
                    raise AssertionError("not reached")


async def test_a_store_that_is_full_says_so_and_works_again(tmp_path: Path) -> None:
    async with open_running(settings(tmp_path, database_bytes_max=600_000)) as running, open_wire(running.url) as wire:
        alice = Person("alice", running.node.relay.clock_ms())
        await wire.register(alice)
        founding = group(alice)
        await wire.ok(founding, F.PubResult)
        number = 0
        while isinstance(answer := await wire.ask(message(alice, founding.topic, os.urandom(30_000))), F.Ok):
            number += 1
        assert (answer.code, bool(answer.retry_ms)) == (504, True)
        assert 3 < number < 30
        (head,) = await wire.subscribe(F.Subscription(founding.topic, last=1))
        assert head.head == number + 1
    async with open_running(settings(tmp_path)) as running, open_wire(running.url) as wire:
        await wire.login(alice)
        assert (await wire.ok(message(alice, founding.topic), F.PubResult)).offset == number + 2


def test_the_clusters_id(tmp_path: Path) -> None:
    made = cluster_id(tmp_path / "new")
    assert len(made) == 16
    assert cluster_id(tmp_path / "new") == made
    for damaged in ("", "zz" * 16, "ab" * 15, "é"):
        (tmp_path / "cluster.id").write_bytes(damaged.encode("latin-1"))
        with pytest.raises(ConfigError, match=r"cluster\.id"):
            cluster_id(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_directory(settings(tmp_path / "file" / "data"))


async def test_with_redis(tmp_path: Path, redis_url: str) -> None:
    async with open_running(settings(tmp_path, redis_url=redis_url)) as running:
        assert running.node.relay.broker.is_alone is False
    module._hear(b"c", b"x")
    module._missed()


@pytest.fixture
def hangup() -> Iterator[None]:
    """SIGHUP does what it does by default, whatever this process inherited."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize(("count", "first"), [(1, signal.SIGTERM), (2, signal.SIGINT), (1, signal.SIGHUP)])
async def test_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, first: signal.Signals) -> None:
    """One drains, a second ends at once; without certificates to read anew, SIGHUP says that the terminal is gone."""
    monkeypatch.setattr(log, "to_stderr", lambda level: None)
    monkeypatch.setattr(module, "prepare_process", lambda: None)
    monkeypatch.setattr(module, "settle_process", lambda: None)
    found: list[Running] = []

    def ready(running: Running) -> None:
        found.append(running)
        os.kill(os.getpid(), first)
        if count == 2:
            running.node.relay.pending.began()  # a commit that never comes

    async def again() -> None:
        await until(lambda: bool(found) and found[0].node.relay.is_draining)
        os.kill(os.getpid(), signal.SIGTERM)

    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        if count == 2:
            nursery.start_soon(again)
        await run_until_signal(settings(tmp_path), ready)
    assert trio.current_time() - begin < DRAIN_COMMIT_MS / 1000
    assert found[0].node.drained.is_set() == (count == 1)


@pytest.mark.usefixtures("hangup")
async def test_certificates_are_read_anew_on_sighup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "to_stderr", lambda level: None)
    monkeypatch.setattr(module, "prepare_process", lambda: None)
    monkeypatch.setattr(module, "settle_process", lambda: None)
    chain, key = certificate(tmp_path)
    read: list[Node] = []

    def reload(node: Node) -> None:
        read.append(node)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Node, "reload_tls", reload)
    tls = settings(tmp_path / "data", tls_certificate=str(chain), tls_key=str(key))
    await run_until_signal(tls, lambda running: os.kill(os.getpid(), signal.SIGHUP))
    assert len(read) == 1


@pytest.mark.usefixtures("hangup")
async def test_nohup_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "to_stderr", lambda level: None)
    monkeypatch.setattr(module, "prepare_process", lambda: None)
    monkeypatch.setattr(module, "settle_process", lambda: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    ended: list[int] = []

    def ready(running: Running) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        ended.append(signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    await run_until_signal(settings(tmp_path), ready)
    assert ended == [signal.SIGTERM]
