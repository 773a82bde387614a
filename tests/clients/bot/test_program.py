"""A bot as a program: arguments, environment, exit codes, signals, dead letters."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from clients.bot import program
from clients.bot.errors import BotError
from clients.bot.home import open_home
from clients.bot.memory import DEAD, Dead, Timer
from clients.client import Client
from clients.vault import Batch
from tests.clients.bot.support import NOW_MS, TOPIC


class FakeBot:
    """What a program runs; it ends when told to, or as the test says."""

    def __init__(self) -> None:
        self.name = "echo"
        self.handle = "echo"
        self.log = logging.getLogger("chappe.bot.echo")
        self.served: list[tuple[str, str, bool]] = []
        self.fails: Exception | None = None
        self.stops = 0

    async def serve(self, client: Client, *, is_new: bool, claim: bool) -> None:
        self.served.append((client.url, self.handle, is_new))
        await trio.lowlevel.checkpoint()
        if self.fails is not None:
            raise self.fails

    def stop(self) -> None:
        self.stops += 1


@pytest.fixture
def quiet() -> Iterator[None]:
    """Leave the process's logging as it was."""
    logger = logging.getLogger("chappe")
    before = (list(logger.handlers), logger.level)
    yield
    logger.handlers[:], level = before
    logger.setLevel(level)


def run(bot: FakeBot, data: Path, *arguments: str) -> int:
    return program.main(bot, arguments, {"CHAPPE_DATA": str(data), "CHAPPE_URL": "ws://127.0.0.1:1/ws"})


@pytest.mark.usefixtures("quiet")
def test_address_and_data_come_from_the_environment_or_the_command_line(tmp_path: Path) -> None:
    bot = FakeBot()
    assert run(bot, tmp_path / "a") == 0
    assert run(bot, tmp_path / "a", "--url", "ws://127.0.0.1:2/ws", "--handle", "other", "--verbose") == 0
    assert bot.served == [("ws://127.0.0.1:1/ws", "echo", True), ("ws://127.0.0.1:2/ws", "other", True)]
    assert logging.getLogger("chappe").level == logging.DEBUG
    options = program.parser_of(bot, {}).parse_args([])
    assert (options.url, options.key_file) == (program.DEFAULT_URL, None)
    assert options.data == Path("~/.local/share/chappe/bots/other") or options.data.name == "echo"
    assert program.parser_of(bot, {"CHAPPE_KEY_FILE": "k"}).parse_args([]).key_file == Path("k")


@pytest.mark.usefixtures("quiet")
def test_what_went_wrong_is_a_sentence_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = FakeBot()
    bot.fails = BotError("the handle is taken")
    assert run(bot, tmp_path) == 2
    assert capsys.readouterr().err.endswith("echo: the handle is taken\n")
    (tmp_path / "vault.db").unlink()
    assert run(bot, tmp_path) == 2
    assert "vault.db is gone" in capsys.readouterr().err
    bot.fails = None
    assert run(bot, tmp_path, "--fresh") == 0
    bot.fails = KeyboardInterrupt()  # type: ignore[assignment]
    assert run(bot, tmp_path) == 130


@pytest.mark.usefixtures("quiet")
def test_the_log_is_set_up_unless_the_program_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("chappe")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert run(FakeBot(), tmp_path) == 0
    assert run(FakeBot(), tmp_path) == 0
    (handler,) = logger.handlers
    record = logging.LogRecord("chappe.bot.x", logging.INFO, "", 1, "hello", None, None)
    record.created = 0
    assert handler.format(record) == "1970-01-01T00:00:00Z INFO chappe.bot.x: hello"


async def test_a_signal_stops_the_bot_and_a_second_one_ends_it() -> None:
    bot = FakeBot()

    async def watch() -> None:
        with pytest.raises(KeyboardInterrupt):
            await program.stop_on_signal(bot)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        await wait_all_tasks_blocked(0.01)
        assert bot.stops == 1
        os.kill(os.getpid(), signal.SIGINT)
    assert bot.stops == 1


@pytest.mark.usefixtures("quiet")
def test_dead_letters_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = Dead(1, 5, TOPIC, b"\xaa" * 16, "bot.handler", 3, "ValueError: no", NOW_MS)
    timer = Dead(2, 0, TOPIC, b"", "bot.ring", 3, "OSError: no", NOW_MS, Timer(b"t" * 16, 0, TOPIC, "ring", b""))
    with open_home(tmp_path, "echo", now_ms=lambda: NOW_MS) as home:
        batch = Batch()
        for letter in (message, timer):
            batch.put(DEAD, letter.key, msgspec.msgpack.encode(letter))
        home.vault.commit([batch])
    bot = FakeBot()
    assert run(bot, tmp_path, "dead") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"1  2027-01-15 08:00:00 UTC  bot.handler  message {'aa' * 16}  3 attempts  ValueError: no",
        "2  2027-01-15 08:00:00 UTC  bot.ring  timer ring  3 attempts  OSError: no",
    ]
    assert run(bot, tmp_path, "dead", "skip") == 2
    assert "which one? `dead list` shows" in capsys.readouterr().err
    assert run(bot, tmp_path, "dead", "skip", "1") == 0
    assert run(bot, tmp_path, "dead", "replay", "2") == 0
    assert capsys.readouterr().out == "dead letter 1: forgotten\ndead letter 2: is tried again at the next start\n"
    assert run(bot, tmp_path, "dead", "skip", "1") == 2
    assert "there is no dead letter 1" in capsys.readouterr().err
    assert not bot.served
