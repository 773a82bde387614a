"""Verbs about games, as people type them, and what a chat says of games."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.cli.game import verify
from clients.cli.gaming import Gaming
from clients.cli.money import Money
from clients.cli.news import News
from clients.cli.room import NotFound, Room
from clients.client import Client
from clients.events import Received, decode_event
from clients.games import GameError
from clients.games.records import State
from tests.support.games import Club, open_club
from tests.support.workers import until


class Face:
    """One person's verbs, and what the chat has said."""

    def __init__(self, client: Client) -> None:
        self.client = client
        room = Room(client)
        self.gaming = Gaming(room)
        self.verbs = self.gaming.verbs
        self.news = News(room, Money(room), self.gaming)

    async def do(self, line: str) -> str:
        verb, *words = line.split()
        return "\n".join(await self.verbs[verb](words))

    def sentences(self) -> list[str]:
        rows = self.client.engine.shelf.vault.events(0, 10_000)
        events = [decode_event(value, seq) for seq, value in rows]
        said = [self.news.sentence(e) for e in events if isinstance(e, Received) and not e.mine]
        return [sentence for sentence in said if sentence]

    async def says(self, words: str) -> None:
        await until(lambda: any(words in sentence for sentence in self.sentences()), words)


async def _people(club: Club) -> tuple[Face, Face]:
    alice, bob = await club.person("alice"), await club.person("bob")
    for client, name in ((alice, "alice"), (bob, "bob")):
        await client.claim_handle(name)
    await bob.add_contact(alice.account, "alice")
    await club.meet(alice, bob)
    return Face(alice), Face(bob)


async def _play(club: Club, one: Face, two: Face, *moves: str) -> None:
    match = one.gaming.hand().match
    for action in moves:
        await club.follow(match, (one.client, two.client))
        seat = one.client.games.position(match).turn[0]
        face = one if one.client.games.record(match).seat == seat else two
        await face.do(f"move {action}")
    await club.follow(match, (one.client, two.client))


async def test_a_game_of_chess(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        one, two = await _people(club)
        assert await one.do("games") == "no games; /play GAME NAME offers one"
        with pytest.raises(NotFound):
            await one.do("board")
        with pytest.raises(NotFound, match="no game"):
            await one.do("play golf bob")
        assert (await one.do("play chess @bob 300+3 rated")).startswith("chess is offered to bob")
        assert "is offered" in (await one.do(f"game show {one.gaming.offered.hex()[:8]}"))
        await two.says("alice offers chess (300+3)")
        board = await two.do("accept-game")
        assert "R  N  B" in board
        match = one.gaming.offered
        await one.client.games.started(match)
        white, black = (one, two) if one.client.games.record(match).seat == 0 else (two, one)
        assert "Nf3" in await white.do("moves")
        assert await black.do("moves") == "it is not your turn"
        with pytest.raises(GameError, match="not legal"):
            await white.do("move e5")
        assert "[P]" in await white.do("move e4")
        await black.says("[P]")
        await _play(club, one, two, "e5", "Nf3")
        await black.do("draw")
        await white.says("offers a draw")
        await white.do("refuse")
        with pytest.raises(GameError):
            await black.do("claim-draw Nc6")
        line = await white.do("game uci")
        assert line.endswith("e2e4 e7e5 g1f3")
        assert "[White" in await white.do("game pgn")
        path = tmp_path / "game.pgn"
        await white.do(f"game pgn {path}")
        assert "5N2" in await white.do("game fen")
        path.write_text(path.read_text().replace("*", "Nc6 *", 2).replace("Nc6 *", "*", 1))
        await black.do(f"game replay {path}")
        with pytest.raises(GameError, match="no further"):
            await white.do(f"game replay {path}")
        with pytest.raises(ValueError, match="cannot be read"):
            await white.do(f"game replay {tmp_path / 'nowhere'}")
        await _play(club, one, two, "Bb5")
        assert "resignation" in await black.do("resign") or black.gaming.hand().state == State.PLAYING
        await club.over(match, one.client, two.client)
        await white.says("resignation")
        assert "audit: holds" in await white.do("board")
        assert "over 2-0 resignation" in await white.do("games")
        file = tmp_path / "match.game"
        assert "verify" in await white.do(f"game save {file}")
        assert verify(file) == 0
        with pytest.raises(ValueError, match="cannot be written"):
            await white.do(f"game save {tmp_path / 'no' / 'where'}")
        with pytest.raises(GameError, match="/game show"):
            await white.do("game dance")
        await white.do("rematch")
        await black.says("one more")
        await black.do("rematch")
        await until(lambda: len(one.client.games.matches) == 2, "the rematch")


async def test_seeking(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        one, two = await _people(club)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.do, "seek tictactoe rated")
            assert " 0  1  2 " in await two.do("seek tictactoe rated")
        assert await one.do("seek off") == "seeking nobody any more"


async def test_offers_and_spectators(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        one, two = await _people(club)
        carol = Face(await club.person("carol"))
        await one.do("play tictactoe bob")
        await two.says("tictactoe")
        assert (await two.do("decline-game")).endswith("is off")
        await one.says("declined")
        await one.do("play tictactoe bob")
        await until(lambda: any(r.state == State.INVITED for r in two.client.games.matches), "the offer")
        with pytest.raises(NotFound, match="begin with"):
            await two.do("accept-game beef")
        await two.do("accept-game")
        match = one.gaming.offered
        await one.client.games.started(match)
        assert "some seconds late" in await carol.do(f"game watch {match.hex()}")
        assert "nothing yet" in await carol.do(f"game show {match.hex()[:8]}")
        await until(lambda: match in club.hall.watchers, "the spectator")
        club.skip(16_000)
        await carol.says(" 0  1  2 ")
        assert await carol.do(f"game unwatch {match.hex()}") == "you see it no more"
        await _play(club, one, two, "4")
        await one.do("abort")
        await club.over(match, one.client, two.client)
        assert "aborted" in await two.do(f"game use {match.hex()[:8]}")
        one.client.games.record(match).alarm = "it lied"
        one.client.games.record(match).refused = "stale: no"
        assert (await one.do("board")).startswith("DO NOT TRUST")
        assert one.gaming.sentence(
            Received(topic=b"t", offset=1, id=b"m" * 16, account=b"a", device=b"d", ts=1, content=b"rubbish")
        ) is None  # fmt: skip
