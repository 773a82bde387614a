"""The bot: handlers by message type, and what runs them.

::

    bot = Bot("echo")

    @bot.on(Text)
    async def echo(message, reply):
        await reply(message.text)

    bot.run()
"""

from __future__ import annotations

import logging
import runpy
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import trio

from clients.bot import bounds as B
from clients.bot.dead_letters import DeadLetters
from clients.bot.errors import BotError
from clients.bot.handlers import TIMER, Function, Handler, make_handler, split_arguments
from clients.bot.home import open_home
from clients.bot.memory import BotMemory
from clients.bot.runner import Policy, Runner, RunnerStatistics
from clients.bot.upkeep import note_waiting, take_handle, watch_connection
from clients.client import Client, now_ms, open_client
from clients.conversations import Conversation
from clients.tasks import open_tasks
from protocol.messages import Body

F = TypeVar("F", bound=Function)
_loading: ContextVar[list[Bot] | None] = ContextVar("loading", default=None)


class Bot:
    """A bot's handlers, and its run.

    ``name`` is also its handle at the relay unless ``handle`` says otherwise. ``attempts`` and ``back_off_s``: how
    often a handler is run on one message, and the seconds before each further run. ``parallel``: handlers at once.
    ``blocked_s``, ``slow_s``: when a handler is named that blocks the event loop, or runs for long. ``stop_s``: how
    long what runs may take after SIGTERM. ``hears_bots``: messages of other bots come too; take care that no two bots
    answer each other for ever.
    """

    def __init__(
        self, name: str, *, handle: str | None = None, attempts: int = B.ATTEMPTS,
        back_off_s: Sequence[float] = B.BACK_OFF_S, parallel: int = B.PARALLEL, blocked_s: float = B.BLOCKED_S,
        slow_s: float = B.SLOW_S, stop_s: float = B.STOP_S, hears_bots: bool = False,
    ) -> None:  # fmt: skip
        if attempts < 1 or parallel < 1 or not back_off_s:
            raise BotError("a bot makes at least one attempt, serves at least one conversation, and has one back-off")
        self.name = name
        self.handle = handle or name
        self.policy = Policy(attempts, tuple(back_off_s), parallel, blocked_s, slow_s, stop_s, hears_bots)
        self.log = logging.getLogger(f"chappe.bot.{name}")
        self._handlers: list[Handler] = []
        self._timers: dict[str, Handler] = {}
        self._runner: Runner | None = None

    def __repr__(self) -> str:
        return f"Bot({self.name!r})"

    # -- handlers ------------------------------------------------------------------------------------------------------
    def on(self, *what: Any) -> Callable[[F], F]:
        """Decorator: a handler for messages of some types that pass all filters, or for some events of the SDK.

        ``@bot.on(Text, command("/help"))``, ``@bot.on(Media, Poll)``, ``@bot.on(Joined)``. The first handler that
        accepts a message gets it, in the order of registration. Raises ``BotError`` with a sentence.
        """
        kind, types, conditions = split_arguments(what)

        def register(function: F) -> F:
            self._handlers.append(make_handler(function, kind, types, conditions))
            return function

        return register

    def on_timer(self, name: str) -> Callable[[F], F]:
        """Decorator: what to do when ``later(name, …)`` rings. Raises ``BotError`` if there is one already."""

        def register(function: F) -> F:
            if name in self._timers:
                raise BotError(f"two handlers for the timer {name!r}; one name, one handler")
            self._timers[name] = make_handler(function, TIMER, (), ())
            return function

        return register

    # -- while it runs -------------------------------------------------------------------------------------------------
    @property
    def runner(self) -> Runner:
        """What runs it. Raises ``BotError`` while it does not run."""
        if self._runner is None:
            raise BotError(f"the bot {self.name} is not running")
        return self._runner

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return self._runner is not None

    @property
    def client(self) -> Client:
        """The client under it: conversations, groups, contacts."""
        return self.runner.client

    @property
    def dead_letters(self) -> DeadLetters:
        """What no attempt could deal with."""
        return self.runner.dead_letters

    def statistics(self) -> RunnerStatistics:
        """Figures of now."""
        return self.runner.statistics()

    async def post(self, talk: Conversation, body: Body | str, *, key: bytes | None = None) -> bytes | None:
        """Say something of one's own accord; the message id once it is safe in the vault.

        With a ``key`` it is said once, however often this is called in a week; None if it was said before.
        Raises ``NotActive``, ``ValueError``, ``BotError``.
        """
        return await self.runner.post(talk, body, key)

    def stop(self) -> None:
        """End in an orderly way: begin nothing more, let what runs end."""
        self.runner.stop()

    # -- running -------------------------------------------------------------------------------------------------------
    async def serve(self, client: Client, *, is_new: bool = True, claim: bool = True) -> None:
        """Run over an open client until ``stop``. ``is_new``: nobody but this bot has lived in the vault.

        A vault that was somebody's before the bot ran on it is not answered in arrears: it begins behind what was said.
        ``claim``: take the handle. Raises ``BotError``, ``VaultError``.
        """
        shelf = client.engine.shelf
        memory = await trio.to_thread.run_sync(BotMemory, shelf.vault, shelf.journal)
        memory.prune(shelf.clock_ms())
        if memory.floor is None:
            memory.begin(0 if is_new else shelf.journal.last_seq)
        runner = self._runner = Runner(self, self._handlers, self._timers, client, memory, self.policy, self.log)
        note_waiting(client, self.log)
        self.log.info("%s is account %s", self.name, client.account.hex())
        try:
            async with open_tasks() as nursery:
                nursery.start_soon(watch_connection, client, self.log)
                if claim:
                    nursery.start_soon(take_handle, client, self.handle)
                await runner.run()
                await self._flush(client)
                nursery.cancel_scope.cancel()
        finally:
            self._runner = None

    async def _flush(self, client: Client) -> None:
        """Give what was said a moment to go out; the rest waits in the vault."""
        with trio.move_on_after(B.FLUSH_S):
            while client.connected and client.engine.shelf.outgoing:
                await client.wait_news()

    async def run_at(self, url: str, data: Path, *, key_file: Path | None = None) -> None:
        """Run with the relay at ``url`` and the vault in ``data`` until ``stop``: for programs of several bots.

        Raises ``BotError``, ``VaultError``.
        """
        with open_home(data, self.name, now_ms=now_ms, key_file=key_file) as home:
            async with open_client(url, home.vault) as client:
                await self.serve(client, is_new=home.is_new)

    def run(self, arguments: Sequence[str] | None = None) -> None:
        """Run as a program: address, data and the rest from the command line or the environment. Ends the process.

        ``python bot.py --help`` says them all. Inside ``load_bots`` it only notes the bot.
        """
        found = _loading.get()
        if found is not None:
            found.append(self)
            return
        from clients.bot.program import main

        raise SystemExit(main(self, arguments))


def load_bots(path: Path | str) -> list[Bot]:
    """The bots that a program would run, in that order, without running them: for tests."""
    found: list[Bot] = []
    token = _loading.set(found)
    try:
        runpy.run_path(str(path))
    finally:
        _loading.reset(token)
    return found
