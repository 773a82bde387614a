"""``chappe up``: ready within two seconds, one relay a directory, SIGTERM drains."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from relay.cli import up as module
from relay.config import Settings
from relay.run import Running
from relay.workers import Workers
from tests.support.people import Person
from tests.support.wire import open_wire

#: The promise is two seconds from start to ready (O1); a machine with other work gets some more here.
READY_S = 6.0


@contextmanager
def started(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    program = "from relay.cli.up import command; import sys; sys.exit(command())"
    options = ["--data", str(data), "--port", "0", "--ops-port", "0", *arguments]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_one_command(tmp_path: Path) -> None:
    begin = time.monotonic()
    with started(tmp_path / "data", "--json") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert time.monotonic() - begin < READY_S
        assert ready["ready"]
        assert ready["pid"] == process.pid
        async with open_wire(ready["url"]) as wire:
            await wire.register(Person("alice", int(time.time() * 1000)))
            with started(tmp_path / "data") as second:
                assert second.wait(20) == 2
                assert second.stderr is not None
                said = second.stderr.read()
            assert said.startswith("chappe up: ")
            assert "in use" in said
            process.send_signal(signal.SIGTERM)
            bye, code = await wire.end()
        assert bye is not None
        assert (bye.code, code) == (4000, 1012)
        assert await trio.to_thread.run_sync(process.wait, 10) == 0


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Settings of relays that would have run."""
    found: list[Settings] = []

    def run(target: object, settings: Settings, ready: Callable[[Running], None], beside: list[str]) -> None:
        found.append(settings)
        workers = Workers(beside, "ws://h:1/ws", Path("d"))
        ready(Running(None, "ws://h:1/ws", "http://h:2", Path("d"), workers))  # type: ignore[arg-type]

    monkeypatch.setattr("trio.run", run)
    monkeypatch.setattr("os.environ", {"CHAPPE_RELAY_HOST": "127.0.0.2"})
    return found


def test_the_ready_line(ran: list[Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert module.up(data=tmp_path, port=0, ops_port=5) == 0
    (settings,) = ran
    assert (settings.data, settings.host, settings.port, settings.ops_port) == (str(tmp_path), "127.0.0.2", 0, 5)
    assert capsys.readouterr().out == (
        "Chappe is ready: clients connect to ws://h:1/ws · data in d · health and metrics at http://h:2 · "
        "Ctrl-C ends it\n"
    )
    module.up(json=True)
    assert json.loads(capsys.readouterr().out)["url"] == "ws://h:1/ws"


def test_mistakes_are_sentences(
    ran: list[Settings], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("prot = 1\n")
    assert module.up(config=file) == 2
    assert "did you mean 'port'?" in capsys.readouterr().err

    def fail(*args: object) -> None:
        from relay.config import ConfigError

        raise ExceptionGroup("nursery", [ExceptionGroup("inner", [ConfigError("port taken")])])

    monkeypatch.setattr("trio.run", fail)
    assert module.up() == 2
    assert capsys.readouterr().err == "chappe up: port taken\n"
    assert ran == []
