"""A bot as a program: command line, environment, log, signals."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import trio

from clients.bot import dead_letters
from clients.bot.errors import BotError
from clients.bot.home import Home, open_home
from clients.client import Client, now_ms, open_client
from clients.tasks import open_tasks
from clients.vault import VaultError

DEFAULT_URL = "ws://127.0.0.1:8790/ws"
EXIT_REFUSED = 2  # it did not start, for a reason that the operator can change


class Runnable(Protocol):
    """What is run: a ``Bot``."""

    name: str
    handle: str
    log: logging.Logger

    async def serve(self, client: Client, *, is_new: bool, claim: bool) -> None:
        """Run over a client until ``stop``."""

    def stop(self) -> None:
        """End in an orderly way."""


def parser_of(bot: Runnable, environment: Mapping[str, str]) -> argparse.ArgumentParser:
    """The command line of a bot."""
    parser = argparse.ArgumentParser(description=f"The bot {bot.name}; it runs until Ctrl-C or SIGTERM.")
    url = environment.get("CHAPPE_URL", DEFAULT_URL)
    parser.add_argument("--url", default=url, help="address of the relay [CHAPPE_URL]: %(default)s")
    data = Path(environment.get("CHAPPE_DATA", f"~/.local/share/chappe/bots/{bot.name}"))
    parser.add_argument("--data", type=Path, default=data, help="its keys and history [CHAPPE_DATA]: %(default)s")
    key = environment.get("CHAPPE_KEY_FILE")
    parser.add_argument(
        "--key-file", type=Path, default=None if key is None else Path(key),
        help="file with the key that seals its vault; made if missing [CHAPPE_KEY_FILE]: DATA/vault.key",
    )  # fmt: skip
    parser.add_argument("--handle", default=bot.handle, help="name under which people find it: %(default)s")
    parser.add_argument("--fresh", action="store_true", help="begin as somebody new; an old vault is moved aside")
    parser.add_argument("--verbose", action="store_true", help="log more")
    commands = parser.add_subparsers(dest="command", metavar="[dead]")
    dead = commands.add_parser("dead", help="messages that no attempt could deal with; the bot must not be running")
    dead.add_argument("action", choices=("list", "replay", "skip"), nargs="?", default="list")
    dead.add_argument("number", type=int, nargs="?", help="of the dead letter")
    return parser


def main(bot: Runnable, arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run a bot by its command line; the exit code."""
    parser = parser_of(bot, os.environ if environment is None else environment)
    options = parser.parse_args(arguments)
    _set_up_log(verbose=options.verbose)
    bot.handle = options.handle
    try:
        home = open_home(
            options.data.expanduser(), bot.name, now_ms=now_ms, key_file=options.key_file, fresh=options.fresh
        )
        with home as opened:
            if options.command == "dead":
                return _dead(opened, options.action, options.number)
            trio.run(_run, bot, options.url, opened)
    except (BotError, VaultError) as error:
        print(f"{bot.name}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return 130  # a second Ctrl-C: the shell's code for it
    return 0


async def _run(bot: Runnable, url: str, home: Home) -> None:
    async with open_client(url, home.vault) as client, open_tasks() as nursery:
        nursery.start_soon(stop_on_signal, bot)
        await bot.serve(client, is_new=home.is_new, claim=True)
        nursery.cancel_scope.cancel()


async def stop_on_signal(bot: Runnable) -> None:
    """SIGTERM or Ctrl-C ends the bot in an orderly way; the second one at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        asked = False
        async for _ in signals:
            if asked:
                raise KeyboardInterrupt
            asked = True
            bot.log.info("stopping: what runs may end; once more ends it at once")
            bot.stop()


def _dead(home: Home, action: str, number: int | None) -> int:
    if action == "list":
        for letter in dead_letters.read_letters(home.vault):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(letter.at_ms / 1000))
            what = f"timer {letter.timer.name}" if letter.timer is not None else f"message {letter.message_id.hex()}"
            print(f"{letter.number}  {when} UTC  {letter.handler}  {what}  {letter.attempts} attempts  {letter.error}")
        return 0
    if number is None:
        raise BotError(f"which one? `dead list` shows their numbers, then: dead {action} NUMBER")
    dead_letters.mark_letter(home.vault, number, skip=action == "skip")
    print(f"dead letter {number}: {'forgotten' if action == 'skip' else 'is tried again at the next start'}")
    return 0


class _UtcFormatter(logging.Formatter):
    converter: Any = staticmethod(time.gmtime)


def _set_up_log(*, verbose: bool) -> None:
    """Lines on stderr, unless the program has set up logging itself."""
    logger = logging.getLogger("chappe")
    if not logging.getLogger().handlers and not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_UtcFormatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
        logger.addHandler(handler)
    if not logger.isEnabledFor(logging.INFO) or verbose:
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
