"""The referee as a whole: matches through a relay, crashes, time, spectators, and who may see what."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

from clients.client import Client
from clients.games.following import HOLDS
from clients.games.records import State
from clients.presence import State as Presence
from extensions.games.worker import make_worker, worker
from protocol.judging import verify
from protocol.limits import GAME_GRACE_MS
from protocol.rules.games import GAMES
from protocol.transcript import from_bytes
from tests.support.games import open_club, start_club
from tests.support.workers import WAIT_S, until


def test_what_it_says_of_itself() -> None:
    assert worker.manifest.name == make_worker().name == "games"
    assert {"game.offer", "game.move", "game.reveal"} <= set(worker.consumes)


async def test_a_match_through_a_relay(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, clock="300+3", rated=True)
        await club.play(match, (alice, bob), "0", "3", "1", "4", "2")
        await club.over(match, alice, bob)
        for client in (alice, bob):
            record = client.games.record(match)
            assert (record.points, record.reason, record.audit) == ((2, 0), "3 in a row", HOLDS)
            assert verify(from_bytes(client.games.transcript(match)), GAMES).final


async def test_a_crash_loses_nothing_and_costs_no_time(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, clock="300+0")
        await club.play(match, (alice, bob), "0", "3")
        before = club.hall.tables[match].log
        assert before is not None
        await club.running.crash()
        club.clock.skip(3_600_000)  # an hour without a referee
        again = await start_club(club.stage, club.clock)
        log = again.hall.tables[match].log
        assert log is not None
        assert log.match.ply == before.match.ply + 1  # the pause, and nothing else
        assert log.match.state == before.match.state
        await again.play(match, (alice, bob), "1", "4")
        left = again.hall.tables[match].log.match.clocks.left_ms  # type: ignore[union-attr]
        assert min(left) > 240_000  # an hour was not charged
        await alice.games.move(match, "2")
        await again.over(match, alice, bob)
        assert alice.games.record(match).audit == HOLDS


async def test_time_is_over(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, clock="60+0")
        await club.play(match, (alice, bob), "0", "3")
        club.skip(61_000)
        await club.over(match, alice, bob)
        assert bob.games.record(match).points == (0, 2)
        assert bob.games.record(match).audit == HOLDS
        await alice.games.rematch(match)
        await until(lambda: any(r.rematch_of == match for r in bob.games.matches), "the question")
        await bob.games.rematch(match)
        again = next(r.match for r in bob.games.matches if r.rematch_of == match)
        assert await alice.games.started(again, WAIT_S)
        assert await bob.games.started(again, WAIT_S)
        assert (alice.games.record(again).seat, alice.games.record(again).alarm) == (1, "")


async def test_hidden_hands_are_audited_afterwards(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        people = alice, bob = await club.person("alice"), await club.person("bob")
        watcher = await club.person("carol")
        match = await club.begin(alice, bob, "eights")
        hands = [client.games.position(match).seen.split(b"/")[-1] for client in people]
        assert hands[0] != hands[1]
        await watcher.games.watch(match)
        await until(lambda: match in club.hall.watchers, "the spectator")
        while alice.games.record(match).state == State.PLAYING:
            await club.follow(match, people)
            position = alice.games.position(match)
            if not position.turn:
                break
            mover = people[0] if alice.games.record(match).seat == position.turn[0] else people[1]
            await mover.games.move(match, mover.games.position(match).legal[0], timeout_s=WAIT_S)
        await club.over(match, *people)
        for client in people:
            assert (client.games.record(match).audit, client.games.record(match).alarm) == (HOLDS, "")
        club.skip(16_000)
        await until(lambda: watcher.games.record(match).state == State.CLOSED, "the last that spectators see")
        assert watcher.games.book.shown[match].seen.endswith(b"/")  # nobody's hand
        assert match not in club.hall.watchers


def _score_is(client: Client, match: bytes, score: bytes) -> bool:
    return client.games.position(match).seen.startswith(score)


async def test_both_move_at_once(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice, bob = await club.person("alice"), await club.person("bob")
        match = await club.begin(alice, bob, "hands")
        for number in (1, 2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(alice.games.move, match, "rock")
                nursery.start_soon(bob.games.move, match, "scissors")
            for client in (alice, bob):
                await until(partial(_score_is, client, match, f"{number}-0 of 2".encode()), "the round")
        await club.over(match, alice, bob)
        assert alice.games.record(match).audit == HOLDS


async def test_who_leaves(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice = await club.person("alice")
        async with club.visitor("bob") as bob:
            for client in (alice, bob):
                client.presence.say(Presence.ONLINE)
            match = await club.begin(alice, bob)
            await club.play(match, (alice, bob), "0", "3")
            seen = club.running.process.engine.presence
            await until(lambda: seen.of(bob.account).state is Presence.ONLINE, "bob being seen")
        await until(lambda: any(at is not None for at in club.hall.tables[match].gone), "bob being missed")
        club.skip(GAME_GRACE_MS + 1000)
        await club.over(match, alice)
        assert (alice.games.record(match).points, alice.games.record(match).reason) == ((2, 0), "left")
