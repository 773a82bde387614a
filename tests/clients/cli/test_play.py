"""``chappe play``: one game in the terminal."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest
import trio

from clients import account as accounts
from clients.cli import play as module
from clients.cli.play import Evening, play
from clients.client import Client, now_ms
from clients.games import GameError
from clients.games.records import State
from clients.vault import Secret, Vault
from tests.support.games import open_club
from tests.support.workers import until


class Terminal:
    """What is typed, and what was shown."""

    def __init__(self, client: Client, *, ticks: bool = False) -> None:
        self.typed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.shown: list[str] = []
        self.evening = Evening(client, self.shown.append, self.typed.get, ticks=ticks)

    def type(self, *lines: str) -> None:
        for line in lines:
            self.typed.put(line + "\n")

    async def shows(self, words: str) -> None:
        await until(lambda: any(words in text for text in self.shown), words)

    def leave(self) -> None:
        """Let the reading thread go."""
        self.typed.put("")


async def test_two_people_in_two_terminals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.01)
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        await bob.claim_handle("bob")
        await club.meet(alice, bob)
        one, two = Terminal(alice, ticks=True), Terminal(bob)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(two.evening.sit_down, "accept", "", [])
            await one.evening.sit_down("tictactoe", "@bob", ["300+0"])
        match = alice.games.matches[-1].match
        await bob.games.started(match)
        async with trio.open_nursery() as nursery:
            for terminal in (one, two):
                nursery.start_soon(terminal.evening.play)
            first, second = (one, two) if alice.games.record(match).seat == 0 else (two, one)
            first.type("", "/moves", "9", "/claim-draw x", "4")
            await first.shows("0  1  2  3  4  5  6  7  8")
            await first.shows("not legal")
            await second.shows("[X]")
            second.type("/resign")
            await club.over(match, alice, bob)
        await one.shows("resignation")
        assert "\x1b7" in capsys.readouterr().out
        one.leave()
        two.leave()


async def test_nobody_comes(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        await bob.claim_handle("bob")
        await club.meet(alice, bob)
        one = Terminal(alice)
        with pytest.raises(IndexError):
            await one.evening.sit_down("chess", "", ["none"])

        async def decline() -> None:
            await until(lambda: any(r.state == State.INVITED for r in bob.games.matches), "the offer")
            await bob.games.decline(bob.games.matches[-1].match)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(decline)
            with pytest.raises(GameError, match="declined"):
                await one.evening.sit_down("chess", "bob", ["none"])
        match = await club.begin(alice, bob)
        one.evening._match = match
        one.type("/quit")
        await one.evening.play()
        assert alice.games.record(match).state == State.PLAYING


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    accounts.create_identity(vault, now_ms(), lambda count: b"e" * count)
    vault.close()
    failures = {"chess": ValueError("no"), "slow": trio.TooSlowError(), "nobody": IndexError()}

    async def run(url: str, vault: Vault, game: str, other: str, terms: list[str]) -> None:
        await trio.lowlevel.checkpoint()
        if game in failures:
            raise failures[game]

    monkeypatch.setattr(module, "_run", run)
    assert play("good", data=tmp_path) == 0
    for game, why in (("chess", "no"), ("slow", "nobody came"), ("nobody", "with whom")):
        assert play(game, data=tmp_path) == 2
        assert why in capsys.readouterr().err


async def test_it_is_a_client_for_a_moment(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        vault = Vault(tmp_path / "me.db", Secret.key_file(tmp_path / "me.key"))
        try:
            with pytest.raises(Exception, match="no game"):
                await module._run(club.stage.relay.url, vault, "golf", "bob", ["none"])
        finally:
            vault.close()
