"""Test bots in one process: a relay in memory, people who talk to the bot, no sockets, and time that you move.

::

    async def test_echo(autojump_clock):
        async with open_kit() as kit:
            alice, echo = await kit.person("alice"), await kit.bot(echo_bot)
            await alice.say(echo, "hi")
            assert await alice.hears() == "hi"
            await kit.pass_time(hours=24)

Time stands still unless the kit moves it: while it waits for something (``hears``, ``until``), from deadline to
deadline, and only when nothing runs and no thread works; and in ``pass_time``. The relay comes from the entry point
``chappe.testing`` (install ``chappe[relay]``).
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import entry_points
from math import inf
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from clients.bot import Bot, BotError, Incoming
from clients.bot.home import open_home
from clients.client import Client, open_client
from clients.conversations import Conversation
from clients.events import Received
from clients.memory_network import MemoryNetwork, memory_network
from clients.tasks import open_tasks
from clients.vault import Secret, Vault, VaultError
from protocol.errors import ChappeError
from protocol.messages import Body, parse

T = TypeVar("T")
ENTRY_POINTS = "chappe.testing"
WAIT_S = 60.0  # of virtual time, for what should come at once
_REST_S = 0.001  # of real time without anything to do, while threads work


class Relay(Protocol):
    """What the kit needs of a relay: where it is, and its wall clock."""

    @property
    def url(self) -> str:
        """Where clients connect."""

    @property
    def clock_ms(self) -> Callable[[], int]:
        """Unix ms, moving with trio's clock."""


class Opener(Protocol):
    """What the entry point offers."""

    def open_relay(self, **options: Any) -> AbstractAsyncContextManager[Relay]:
        """Run a relay as long as the block lasts."""


def relay_opener() -> Opener:
    """The relay for tests of whatever is installed. Raises ``LookupError`` with what to do."""
    for entry in entry_points(group=ENTRY_POINTS):
        opener: Opener = entry.load()
        return opener
    raise LookupError("no relay for tests is installed; install the extra: chappe[relay]")


async def settle() -> None:
    """Wait until no task can go on and no thread works (of those that trio counts by default)."""
    threads = trio.to_thread.current_default_thread_limiter()
    await wait_all_tasks_blocked()
    while threads.borrowed_tokens:
        await wait_all_tasks_blocked(_REST_S)


class Person:
    """Somebody with a client, who hears what others say."""

    def __init__(self, kit: Kit, name: str, client: Client) -> None:
        self.name = name
        self.client = client
        self._kit = kit
        self._heard: deque[Incoming] = deque()

    @property
    def account(self) -> bytes:
        """Their account."""
        return self.client.account

    async def listen(self) -> None:
        """Take in what is said, for ever."""
        async for event in self.client.events():
            if isinstance(event, Received) and event.account != self.account:
                talk = self.client.conversation(event.topic)
                self._heard.append(Incoming(event, parse(event.content), talk, self.account))

    async def pair(self, other: Person | RunningBot) -> Conversation:
        """The conversation with somebody, founded if it is new."""
        return await self._kit.drive(self.client.pair, other.account)

    async def group(self, title: str, others: list[Person | RunningBot]) -> Conversation:
        """Found a group."""
        return await self._kit.drive(self.client.group, [other.account for other in others], title)

    async def say(self, to: Person | RunningBot | Conversation, body: Body | str, **options: Any) -> bytes:
        """Say something, to somebody or in a conversation; its message id. ``options`` as of ``Conversation.send``."""
        talk = to if isinstance(to, Conversation) else await self.pair(to)
        return await self._kit.drive(partial(talk.send, body, **options))

    async def hears(self, *, within_s: float = WAIT_S) -> str:
        """The text of the next message that others said. Raises ``AssertionError`` if none comes."""
        return (await self.hears_message(within_s=within_s)).text

    async def hears_message(self, *, within_s: float = WAIT_S) -> Incoming:
        """The next message that others said, whole."""
        await self._kit.until(lambda: bool(self._heard), f"{self.name} to hear something", within_s=within_s)
        return self._heard.popleft()

    async def hears_nothing(self) -> None:
        """Nothing is left to hear. Raises ``AssertionError`` with what it is."""
        await self._kit.settle()
        assert not self._heard, f"{self.name} heard {[message.text for message in self._heard]}"


class RunningBot:
    """A bot in the kit."""

    def __init__(self, kit: Kit, bot: Bot, data: Path) -> None:
        self.bot = bot
        self.data = data
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.opened: Client | None = None
        self.refused: ChappeError | None = None  # why it did not start
        self._kit = kit

    @property
    def client(self) -> Client:
        """The client under it."""
        assert self.opened is not None
        return self.opened

    @property
    def account(self) -> bytes:
        """Its account."""
        return self.client.account

    @property
    def is_ready(self) -> bool:
        """Whether it runs, is connected, and has its handle."""
        client = self.opened
        return (
            client is not None and self.bot.is_running and client.connected
            and client.engine.shelf.identity.handle == self.bot.handle
        )  # fmt: skip

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self.bot.stop()
        await self._kit.until(self.ended.is_set, f"{self.bot.name} to stop")

    async def kill(self) -> None:
        """End it in the middle of whatever it does."""
        self.scope.cancel()
        await self._kit.until(self.ended.is_set, f"{self.bot.name} to end")


class Kit:
    """See ``open_kit``. ``network``: every cable; ``folder``: where vaults are."""

    def __init__(self, nursery: trio.Nursery, clock: MockClock, network: MemoryNetwork, folder: Path) -> None:
        self.network = network
        self.folder = folder
        self._nursery = nursery
        self._clock = clock
        self._bots: list[RunningBot] = []
        self._relays: list[Relay] = []

    # -- who is there --------------------------------------------------------------------------------------------------
    @property
    def relay(self) -> Relay:
        """The relay that everybody uses unless told otherwise."""
        return self._relays[0]

    async def open_relay(self, **options: Any) -> Relay:
        """Another relay, with people of its own. ``options`` go to the relay's ``open_relay``."""

        async def run(*, task_status: trio.TaskStatus[Relay]) -> None:
            async with relay_opener().open_relay(**{"plane": "trio", **options}) as relay:
                task_status.started(relay)
                await trio.sleep_forever()

        relay: Relay = await self._nursery.start(run)
        self._relays.append(relay)
        return relay

    async def person(self, name: str, *, relay: Relay | None = None) -> Person:
        """Somebody new, connected, with ``name`` as handle."""
        home = relay or self.relay

        async def run(*, task_status: trio.TaskStatus[Person]) -> None:
            place = self._place(home, "people", name)
            vault = Vault(place / "vault.db", Secret.key_file(place / "vault.key"))
            try:
                async with open_client(home.url, vault, clock_ms=home.clock_ms) as client:
                    person = Person(self, name, client)
                    task_status.started(person)
                    await person.listen()
            finally:
                vault.close()

        person: Person = await self._nursery.start(run)
        await self.drive(person.client.claim_handle, name)
        return person

    async def bot(self, bot: Bot, *, relay: Relay | None = None, data: Path | None = None) -> RunningBot:
        """Run a bot, connected, with its handle. Run again after it ended, it goes on where it was.

        Raises what it ends with if it does not start: ``BotError``, ``VaultError``.
        """
        home = relay or self.relay
        running = RunningBot(self, bot, data or self._place(home, "bots", bot.name))
        self._nursery.start_soon(self._run_bot, running, home)
        await self.until(lambda: running.is_ready or running.ended.is_set(), f"{bot.name} to start")
        if running.refused is not None:
            raise running.refused
        return running

    async def _run_bot(self, running: RunningBot, home: Relay) -> None:
        self._bots.append(running)
        try:
            with running.scope, open_home(running.data, running.bot.name, now_ms=home.clock_ms) as opened:
                async with open_client(home.url, opened.vault, clock_ms=home.clock_ms) as client:
                    running.opened = client
                    await running.bot.serve(client, is_new=opened.is_new)
        except (BotError, VaultError) as error:
            running.refused = error
        finally:
            self._bots.remove(running)
            running.ended.set()

    def _place(self, relay: Relay, *names: str) -> Path:
        return self.folder.joinpath(f"relay {self._relays.index(relay)}", *names)

    # -- time ----------------------------------------------------------------------------------------------------------
    async def settle(self) -> None:
        """Wait until nothing runs and no thread works; no virtual time passes."""
        await settle()

    async def until(self, condition: Callable[[], object], what: str, *, within_s: float = WAIT_S) -> None:
        """Wait for something, letting time pass from deadline to deadline. Raises ``AssertionError`` after a while."""
        end = trio.current_time() + within_s
        await self.settle()
        while not condition():
            wait_s = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if trio.current_time() + wait_s > end:
                raise AssertionError(f"waited {within_s:g} s in vain for {what}")
            self._clock.jump(max(wait_s, 0))
            await self.settle()

    async def drive(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Await something that may need time to pass, such as an answer of a relay that is busy."""
        found: list[T] = []

        async def run() -> None:
            found.append(await function(*arguments))

        async with open_tasks() as nursery:
            nursery.start_soon(run)
            await self.until(lambda: found, "an answer")
        return found[0]

    async def pass_time(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0, hop_s: float = inf
    ) -> None:
        """Let time pass: from timer to timer of the bots, at once in between, as on a machine that slept.

        What else waits in trio (a handler's own ``sleep``) wakes at the end of a hop; ``hop_s`` makes hops shorter.
        """
        end = trio.current_time() + ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        await self.settle()
        while (now := trio.current_time()) < end:
            rings = [at for at in map(self._next_ring, self._bots) if at > now]
            self._clock.jump(min(end, now + hop_s, *rings) - now)
            await self.settle()

    def _next_ring(self, running: RunningBot) -> float:
        """When a bot's next timer is due, by trio's clock."""
        if not running.bot.is_running:
            return inf
        due_ms, now_ms = running.bot.runner.alarms.next_ms, running.client.engine.shelf.clock_ms()
        return inf if due_ms is None else trio.current_time() + (due_ms - now_ms) / 1000


@asynccontextmanager
async def open_kit(**options: Any) -> AsyncIterator[Kit]:
    """A kit, with a relay; everything ends with the block. ``options`` go to the relay's ``open_relay``.

    The test needs trio's mock clock (``trio.run(..., clock=MockClock())``, or pytest-trio's fixture
    ``autojump_clock``). Raises ``LookupError`` if it has none, or no relay is installed.
    """
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, MockClock):
        raise LookupError("the kit moves time: run it under trio's MockClock (in pytest: the fixture autojump_clock)")
    before, clock.autojump_threshold = clock.autojump_threshold, inf  # it would jump while threads work
    try:
        with memory_network() as network, tempfile.TemporaryDirectory(prefix="chappe-kit-") as folder:
            async with open_tasks() as nursery:
                kit = Kit(nursery, clock, network, Path(folder))
                await kit.open_relay(**options)
                try:
                    yield kit
                finally:
                    clock.autojump_threshold = 0  # farewells have their own time limits
                    nursery.cancel_scope.cancel()
    finally:
        clock.autojump_threshold = before
