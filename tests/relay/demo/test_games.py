"""The games of the demo: real processes, a cable that is pulled, and what happens when nothing comes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from clients.cli.gaming import Gaming
from clients.cli.room import Room
from clients.client import open_client
from clients.vault import Secret, Vault
from protocol.errors import ChappeError
from relay.demo import games as module
from relay.demo.games import Games, open_cable
from relay.demo.processes import DemoFailed, Person, RelayProcess
from tests.support.games import open_club
from tests.support.workers import until


class Stand(Person):
    """Somebody of this process, who is asked what ``chappe chat --json`` would be asked."""

    async def begin(self, url: str, task_status: trio.TaskStatus[None]) -> None:
        vault = Vault(self.home / "vault.db", Secret.key_file(self.home / "vault.key"))
        try:
            async with open_client(url, vault) as self.client:
                await self.client.wait_connected()
                await self.client.claim_handle(self.name)
                self.verbs = Gaming(Room(self.client)).verbs
                task_status.started()
                await trio.sleep_forever()
        finally:
            vault.close()

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        try:
            return {"lines": await self.verbs[verb](arguments["words"])}
        except ChappeError as error:
            return {"error": str(error)}

    async def until(self, condition: Callable[[], object], what: str, seconds: float = 60) -> None:
        def there() -> object:
            self.connected = self.client.connected
            return condition()

        await until(there, what)


async def test_chess_and_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole act with everybody in this process; as processes they are in `make prove-games` and `make demo`."""
    monkeypatch.setattr(module, "AWAY_S", 0.05)
    told: list[str] = []
    async with open_club(tmp_path) as club:

        async def start(self: RelayProcess, nursery: trio.Nursery, *extra: str) -> None:
            await trio.lowlevel.checkpoint()
            assert extra == ("--with", module.WORKER)
            self.url = club.stage.relay.url
            self.port = int(self.url.split(":")[2].partition("/")[0])

        async def arrive(self: Games, nursery: trio.Nursery, name: str, url: str) -> Person:
            stand = Stand(name, tmp_path / name, tmp_path / "log", self._bell)
            await club.stage.nursery.start(stand.begin, url)
            self._people.append(stand)
            return stand

        monkeypatch.setattr(RelayProcess, "start", start)
        monkeypatch.setattr(Games, "_arrive", arrive)
        games = Games(tmp_path / "games", told.append)
        await games.run()
    assert len(told) == 1
    assert len(games.figures) == 4
    assert all(any(word in text for word in ("holds", "verified", "refused")) for text in games.figures.values())
    assert any("Rd8#" in line for line in games.pgn)


async def test_arriving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def ask(self: Person, verb: str, **arguments: object) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        asked.append((verb, arguments))
        return {"error": "not yet"} if verb == "play" and len(asked) < 3 else {"lines": ["invited, playing"]}

    async def start(self: Person, nursery: trio.Nursery, url: str) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(url)

    monkeypatch.setattr(Person, "ask", ask)
    monkeypatch.setattr(Person, "start", start)
    games = Games(tmp_path, lambda text: None)
    async with trio.open_nursery() as nursery:
        alice = await games._arrive(nursery, "alice", "ws://here")
    assert asked[:2] == ["ws://here", ("handle", {"name": "alice"})]
    await games._begin(alice, alice, "chess")
    verbs = [one[0] for one in asked[2:] if isinstance(one, tuple)]
    assert verbs == ["play", "games", "accept-game", "games", "games"]


async def test_a_cable_that_is_out_lets_nobody_through() -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, echo, [listener])
        async with open_cable(listener.socket.getsockname()[1]) as (cable, url):
            port = int(url.split(":")[2].partition("/")[0])
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            streams = [stream]
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
            cable.pull()
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
            again = await trio.open_tcp_stream("127.0.0.1", port)
            streams.append(again)
            with suppress(trio.BrokenResourceError):
                assert await again.receive_some() == b""
            cable.is_out = False
            more = await trio.open_tcp_stream("127.0.0.1", port)
            await more.send_all(b"back")
            assert await more.receive_some() == b"back"
            for one in (*streams, more):
                await one.aclose()
        nursery.cancel_scope.cancel()


async def test_what_does_not_happen_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.01)

    async def ask(self: Person, verb: str, **arguments: object) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return {"lines": ["nothing"]}

    monkeypatch.setattr(Person, "ask", ask)
    games = Games(tmp_path, lambda text: None)
    person = Person("alice", tmp_path, tmp_path / "log", games._bell)
    with pytest.raises(DemoFailed, match="waited in vain"):
        await games._until(person, "board", lambda lines: False)
    with pytest.raises(DemoFailed, match="answered by"):
        await _chess_with(games, monkeypatch, person)
    with pytest.raises(DemoFailed, match="same card"):
        await _cards_with(games, monkeypatch, person)


async def _chess_with(games: Games, monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    _nobody_is_needed(monkeypatch, person)
    await games._chess(None, module.Cable(1), "ws://near")  # type: ignore[arg-type]


async def _cards_with(games: Games, monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    _nobody_is_needed(monkeypatch, person)

    async def ask(self: Person, verb: str, **arguments: object) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        return {"lines": ["on top", "sizes", "your hand  2♠ 3♠"]}

    monkeypatch.setattr(Person, "ask", ask)
    await games._cards(None)  # type: ignore[arg-type]


def _nobody_is_needed(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    async def arrive(self: Games, nursery: object, name: str, url: str) -> Person:
        await trio.lowlevel.checkpoint()
        return person

    async def begin(self: Games, *arguments: object) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Games, "_arrive", arrive)
    monkeypatch.setattr(Games, "_begin", begin)
