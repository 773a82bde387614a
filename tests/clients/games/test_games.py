"""``client.games``: what can be asked for, what is refused here already, and what is said anew when overtaken."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients.games import GameError
from clients.games.book import Book
from clients.games.records import State
from protocol.plies import Kind
from tests.support.games import open_club
from tests.support.workers import WAIT_S, until


async def test_agreeing(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        games = alice.games
        await club.meet(alice, bob)
        for terms in ({"clock": "soon"}, {"params": {"size": 3}}, {"seats": 7}):
            with pytest.raises(GameError):
                await games.offer("chess", bob.account, **terms)
        with pytest.raises(GameError, match="does not know"):
            await games.offer("go fish", bob.account, timeout_s=WAIT_S)
        match = await games.offer("chess", bob.account, timeout_s=WAIT_S)
        for action in (games.accept(match), games.rematch(match), games.resign(match)):
            with pytest.raises(GameError):
                await action
        with pytest.raises(GameError, match="has not begun"):
            games.position(match)
        with pytest.raises(GameError, match="no match"):
            games.record(bytes(32))
        await until(lambda: match in bob.games.book.records, "the invitation")
        await bob.games.decline(match)
        await until(lambda: games.record(match).state == State.CLOSED, "the refusal")
        assert games.record(match).reason == "declined"
        with pytest.raises(GameError):
            await games.decline(match)
        talk = await alice.pair(bob.account)
        match = await games.offer("chess", talk=talk.topic, timeout_s=WAIT_S)
        assert not await games.started(match, 0)
        await until(lambda: match in bob.games.book.records, "the invitation")
        await bob.games.accept(match)
        assert await games.started(match, WAIT_S)
        with trio.move_on_after(0):
            await games.changed()
        await games.abort(match, timeout_s=WAIT_S)
        await club.over(match, alice, bob)
        assert games.record(match).reason == "aborted"
        assert [record.match for record in games.matches][-1] == match


async def test_offers_draws_and_take_backs(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, "chess")
        for action, why in (("e2e5", "not legal"), ("", "not legal")):
            with pytest.raises(GameError, match=why):
                await alice.games.move(match, action)
        with pytest.raises(GameError, match="not your turn"):
            await bob.games.move(match, "e7e5")
        await club.play(match, (alice, bob), "e2e4", "e7e5")
        assert await bob.games.takeback(match, timeout_s=WAIT_S)
        await club.follow(match, (alice, bob))
        assert alice.games.position(match).takeback_by == 1
        assert await alice.games.takeback(match, timeout_s=WAIT_S)
        await club.play(match, (alice, bob), "c7c5")
        with pytest.raises(GameError, match="not-justified"):
            await alice.games.claim(match, timeout_s=WAIT_S)
        assert await alice.games.draw(match, timeout_s=WAIT_S)
        await club.follow(match, (alice, bob))
        assert await bob.games.refuse(match, timeout_s=WAIT_S)
        await club.play(match, (alice, bob), "g1f3")
        # Both speak for the same ply: a move that comes second is said anew, and counts.
        bob.games.book.sign_and_say(bob.games.record(match), Kind.MOVE, "d7d6")
        overtaken = bob.games.record(match).said
        alice.games.book.sign_and_say(alice.games.record(match), Kind.DRAW)
        await until(lambda: bob.games.record(match).said is None and alice.games.record(match).said is None, "both")
        await club.follow(match, (alice, bob))
        assert overtaken is not None
        assert "/3p4/" in bob.games.position(match).seen.decode()
        assert await bob.games.resign(match, timeout_s=WAIT_S)
        await club.over(match, alice, bob)
        assert alice.games.record(match).points == (2, 0)
        with pytest.raises(GameError, match="over"):
            await alice.games.move(match, "f3d4")


async def test_choosing_once_and_watching(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob, carol = [await club.person(name) for name in ("alice", "bob", "carol")]
        match = await club.begin(alice, bob, "hands")
        assert await alice.games.move(match, "rock", timeout_s=WAIT_S)
        with pytest.raises(GameError, match="already"):
            await alice.games.move(match, "paper")
        with pytest.raises(GameError, match="you play"):
            await alice.games.watch(match)
        await carol.games.watch(match)
        await until(lambda: match in club.hall.watchers, "the spectator")
        await carol.games.watch(match, on=False)
        await until(lambda: match not in club.hall.watchers, "the spectator to go")
        assert carol.games.record(match).state == State.CLOSED
        await carol.games.watch(bytes(32))
        await until(lambda: carol.games.record(bytes(32)).refused, "the refusal")
        alice.games.book.records[match].alarm = "it lied"
        with pytest.raises(GameError, match="caught"):
            await alice.games.resign(match)


async def test_the_referee_finds_somebody(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        with pytest.raises(GameError, match="nobody yet"):
            await alice.games.seek("chess", clock="300+3", timeout_s=0)
        await until(lambda: alice.account in club.hall.seekers, "the wish")
        assert Book(alice.engine).seeks == alice.games.book.seeks
        match = await bob.games.seek("chess", clock="300+3", timeout_s=WAIT_S)
        assert await alice.games.started(match, WAIT_S)
        for client in (alice, bob):
            assert (client.games.record(match).alarm, client.games.book.seeks) == ("", {})
        with pytest.raises(GameError, match="bad-parameters"):
            await alice.games.seek("go fish", timeout_s=WAIT_S)
        with pytest.raises(GameError, match="nobody yet"):
            await alice.games.seek("chess", timeout_s=0)
        await until(lambda: alice.account in club.hall.seekers, "the wish")
        await alice.games.seek_no_more()
        await until(lambda: not club.hall.seekers, "the end of it")
        assert alice.games.book.seeks == {}


async def test_no_referee_answers(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice = await club.person("alice")
        await club.running.crash()
        with pytest.raises(GameError, match="does not answer"):
            await alice.games.offer("chess", timeout_s=0.01)
