"""A worker as a program: its command line, signals, and the end of whoever started it."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from extensions import program
from extensions.errors import WorkerError
from extensions.program import EXIT_REFUSED, main, run, run_worker, set_up_log, stop_at_end, stop_on_signal
from relay.testing import open_relay
from tests.support.workers import database, make_worker, until


def test_the_command_line(tmp_path: Path) -> None:
    environment = {"CHAPPE_URL": "ws://here/ws", "CHAPPE_DATA": str(tmp_path), "CHAPPE_KEY_FILE": str(tmp_path / "key")}
    options = program.parser_of(make_worker(), environment).parse_args([])
    assert (options.relay, options.data, options.key_file) == ("ws://here/ws", tmp_path, tmp_path / "key")
    assert program.parser_of(make_worker(), {}).parse_args([]).relay == program.DEFAULT_URL


def test_a_relay_that_can_never_be_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(make_worker(), ["--relay", "no address", "--data", str(tmp_path)])
    assert end.value.code == EXIT_REFUSED
    assert "does not let this worker in" in capsys.readouterr().err


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fine(*_: object) -> None:
        """Over at once."""

    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    async def refused(*_: object) -> None:
        raise WorkerError("no")

    for how, code in ((fine, 0), (interrupted, 130), (refused, EXIT_REFUSED)):
        monkeypatch.setattr(program, "_run", how)
        assert run_worker(make_worker(), "ws://x/ws", tmp_path) == code
        assert main(make_worker(), ["--data", str(tmp_path)], {}) == code


async def test_signals() -> None:
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_kill_twice, stop)
        with pytest.raises(KeyboardInterrupt):
            await stop_on_signal(stop, logging.getLogger("test"))


async def _kill_twice(stop: trio.Event) -> None:
    await trio.testing.wait_all_tasks_blocked()
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()
    os.kill(os.getpid(), signal.SIGTERM)


async def test_it_ends_with_whoever_started_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(ours))
    async with open_relay() as relay:
        with database(tmp_path) as vault:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(program._run, make_worker(), relay.url, vault, True)
                await until(lambda: vault.held)
                os.write(theirs, b"a word")
                os.close(theirs)
    sys.stdin.close()
    assert vault.held == {}


async def test_the_end_of_input_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(ours))
    os.close(theirs)
    stop = trio.Event()
    await stop_at_end(stop)
    assert stop.is_set()
    sys.stdin.close()


def test_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("chappe")
    before = list(logger.handlers), logger.level
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logger.handlers.clear()
    logger.setLevel(logging.WARNING)
    set_up_log()
    set_up_log()
    assert len(logger.handlers) == 1
    assert logger.isEnabledFor(logging.INFO)
    logger.handlers[:], logger.level = before[0], before[1]
