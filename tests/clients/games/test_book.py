"""A player's memory: restarts, entries that come late, and a referee that lies."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from clients.client import Client
from clients.events import Received
from clients.games import GameError
from clients.games import book as module
from clients.games.book import Book
from clients.games.records import Record, Said, State
from clients.records import Status
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.ids import pair_topic
from protocol.messages import Body, compose
from protocol.messages import game as G
from protocol.plies import Kind
from protocol.transcript import Genesis, Signed, open_signed, sign
from tests.support.games import Club, open_club
from tests.support.workers import until


def hear(client: Client, body: Body, account: bytes, topic: bytes = b"") -> None:
    where = topic or pair_topic(client.account, account)
    client.engine.shelf.journal.tell(
        Received(topic=where, offset=1, id=b"m" * 16, account=account, device=b"d" * 32, ts=1, content=compose(body))
    )


def open_of(club: Club, match: bytes, players: tuple[bytes, ...], **changes: object) -> G.Open:
    values = {
        "match": match, "referee": club.account, "commitment": b"c" * 32, "game": "chess", "seats": 2, "clock": "none",
        "players": players, "until_ms": 1,
    }  # fmt: skip
    return G.Open(**(values | changes))  # type: ignore[arg-type]


async def test_a_restart_knows_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, rated=True)
        await club.play(match, (alice, bob), "0", "3", "1")
        await alice.engine.shelf.journal.flushed()
        again = Book(alice.engine)
        assert again.records == alice.games.book.records
        assert again.offers == {}
        assert again.follow(again.records[match]).match == alice.games.book.follow(alice.games.record(match)).match
        monkeypatch.setattr(module, "_FOLLOWED", 0)
        assert again.follow(again.records[match]).ply == 3
        assert again._followed == {}
        await club.play(match, (alice, bob), "4")
        await alice.games.move(match, "2")
        await club.over(match, alice, bob)
        await until(lambda: len(bob.games.book.ratings) == 2, "the ratings")
        assert bob.games.book.ratings[alice.account, "tictactoe"].games == 1


async def test_entries_that_come_late(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob)
        record, book = bob.games.record(match), bob.games.book
        await alice.games.move(match, "0")
        await until(lambda: record.plies == 1, "the move")
        following = book.follow(record)
        record.plies = 0  # as if it had never come
        book._followed.clear()
        hear(bob, G.Entry(match=match, ply=1, entry=b"x"), club.account)
        assert 1 in book._early[match]
        book._early[match].pop(1)
        await until(lambda: record.plies == 1, "the referee to send it again")
        assert (record.alarm, book.follow(record).ply) == ("", following.ply)
        hear(bob, G.Entry(match=match, ply=0, entry=b"x"), club.account)
        assert record.alarm == ""


async def test_a_referee_that_lies(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        root = club.running.process.engine.shelf.identity.root_seed
        assert root is not None
        key, book = SigningKey(root), alice.games.book
        match = await club.begin(alice, bob)
        genesis = open_signed(msgspec.msgpack.decode(alice.games.record(match).genesis, type=Signed), Genesis)
        # Other terms than were agreed, and without our chance.
        for number, (changes, why) in enumerate((({"game": "chess"}, "terms"), ({}, "chance"))):
            name = bytes([number + 1]) * 32
            terms = {"game": "tictactoe", "commitment": genesis.commitment}
            hear(alice, open_of(club, name, (bob.account,), **terms), bob.account)
            record = book.records[name]
            record.entropy = b"?" * 32
            forged = msgspec.structs.replace(genesis, match=name, **changes)
            hear(alice, G.Start(genesis=encode_struct(sign(forged, key))), club.account)
            assert why in record.alarm
            assert record.state == State.PLAYING
        hear(alice, G.Start(genesis=encode_struct(sign(forged, key))), club.account)  # a second time: nothing
        hear(alice, G.Start(genesis=encode_struct(sign(genesis, key))), bob.account)
        hear(alice, G.Start(genesis=b"rubbish"), club.account)
        # Made by another device of ours: taken as it is.
        other = msgspec.structs.replace(genesis, match=b"o" * 32)
        hear(alice, G.Start(genesis=encode_struct(sign(other, key))), club.account)
        assert (book.records[other.match].alarm, book.records[other.match].seat) == ("", 0)
        bad = msgspec.structs.replace(genesis, match=b"p" * 32, rules_version=9)
        hear(alice, G.Start(genesis=encode_struct(sign(bad, key))), club.account)
        assert "not known" in book.records[bad.match].alarm
        # Entries and results that the log does not give.
        hear(alice, G.Result(other.match, (2, 0), "bribed", b"l" * 32), club.account)
        assert "another result" in book.records[other.match].alarm
        hear(alice, G.Entry(match=match, ply=0, entry=b"rubbish"), club.account)
        assert alice.games.record(match).alarm.startswith("ply 0")
        hear(alice, G.Cheat(match=match, one=b"1", other=b"2"), club.account)
        assert alice.games.record(match).alarm.startswith("ply 0")
        hear(alice, G.Cheat(match=bad.match, one=b"1", other=b"2"), bob.account)


async def test_what_is_not_for_us(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        book = alice.games.book
        name = b"n" * 32
        hear(alice, open_of(club, name, (club.account,)), bob.account)  # not by a player
        hear(alice, open_of(club, name, (bob.account, alice.account)), bob.account)
        hear(alice, open_of(club, name, (alice.account,)), alice.account)
        hear(alice, open_of(club, name, (alice.account,)), club.account)  # nobody asked
        hear(alice, open_of(club, name, (alice.account,), referee=bob.account), club.account)
        assert book.records == {}
        book.heard(
            Received(topic=b"t" * 32, offset=1, id=b"m" * 16, account=bob.account, device=b"d", ts=1, content=b"game.")
        )
        hear(alice, open_of(club, name, (bob.account,)), bob.account)
        hear(alice, open_of(club, name, (bob.account, b"x" * 32)), club.account)
        assert book.records[name].players == (bob.account, b"x" * 32)
        book.records[name].state = State.ACCEPTED
        hear(alice, G.Refused(name, 0, "not-seated", "no"), club.account)
        assert (book.records[name].state, book.records[name].reason) == (State.CLOSED, "no")
        hear(alice, G.Entry(match=name, ply=0, entry=b"e"), club.account)
        hear(alice, G.Result(name, (), "x", b"l" * 32), club.account)
        hear(alice, G.Closed(name, "again"), club.account)
        hear(alice, G.Shown(name, "chess", 1, b"8/8"), club.account)
        assert book.records[name].reason == "no"


async def test_overtaken(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, "tictactoe")
        await club.play(match, (alice, bob), "0", "3")
        for kind, counts in ((Kind.DRAW, False), (Kind.RESIGN, True)):
            # As if both had spoken at once: what bob signed is for the ply that alice's move takes.
            record = bob.games.record(match)
            statement = bob.games.book.follow(record).statement(kind, "", False, 0)
            signed = encode_struct(sign(statement, bob.engine.shelf.device))
            record.said = Said(statement.ply, kind, "", False, signed)
            plies = record.plies
            await club.play(match, (alice,), "1" if kind is Kind.DRAW else "7")
            await until(partial(_has, record, plies + 1), "alice's move")
            assert bool(record.said) is counts
            assert record.refused.startswith("overtaken") is not counts
            if not counts:
                await club.play(match, (alice, bob), "5")
        await club.over(match, alice, bob)
        assert alice.games.record(match).reason == "resignation"


def _has(record: Record, plies: int) -> bool:
    return record.plies >= plies


async def test_hidden_choices_and_spectators(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob, carol = [await club.person(name) for name in ("alice", "bob", "carol")]
        match = await club.begin(alice, bob, "hands")
        await carol.games.watch(match)
        await until(lambda: match in club.hall.watchers, "the spectator")
        for _ in range(2):
            await alice.games.move(match, "rock")
            await bob.games.move(match, "scissors")
            await until(lambda: not alice.games.record(match).shape, "the round")
            await club.follow(match, (alice, bob))
        await club.over(match, alice, bob)
        assert bob.games.record(match).shape == ""
        club.skip(16_000)
        await until(lambda: match in carol.games.book.shown, "what spectators see")
        await until(lambda: carol.games.record(match).state == State.CLOSED, "the end")
        assert carol.games.book.shown[match].seen.startswith(b"2-0")
        talk = alice.engine.shelf.conversations.get(alice.games.record(match).topic)
        assert talk is not None
        with pytest.raises(GameError, match="refuses"):
            await alice.games.offer("go fish", referee=club.account)
        talk.status = Status.LEFT
        assert alice.games.book.say(talk.topic, G.Watch(match)) is None
