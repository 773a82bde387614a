"""The playing example: it takes an offer and wins where it can; against itself, a game comes to its end."""

from __future__ import annotations

import runpy
from pathlib import Path

import trio

from clients.connection import Refusal
from clients.games.records import State
from protocol.rules.games import GAMES
from tests.support.games import open_club
from tests.support.workers import WAIT_S

EXAMPLE = runpy.run_path(str(Path(__file__).resolve().parents[2] / "examples" / "player.py"))


def test_it_sees_a_win() -> None:
    rules = GAMES["tictactoe"]
    state = rules.initial({}, 2, b"")
    for seat, action in ((0, "0"), (1, "3"), (0, "1"), (1, "4")):
        state = rules.apply(state, seat, action)
    assert EXAMPLE["value"](rules, state, 0, 1) == 0.99
    assert EXAMPLE["value"](rules, state, 1, 2) < 0


async def test_it_plays_whoever_comes(tmp_path: Path) -> None:
    async with open_club(tmp_path) as club:
        alice = await club.person("alice")
        url = club.stage.relay.url
        club.stage.nursery.start_soon(EXAMPLE["main"], url, tmp_path / "one", "rookie", 2)
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    rookie = await alice.find("rookie")
                    break
                except Refusal:
                    await trio.sleep(0.01)
        await club.meet(alice, rookie)
        for game in ("tictactoe", "eights", "hands"):
            match = await alice.games.offer(game, rookie, timeout_s=WAIT_S)
            assert await alice.games.started(match, WAIT_S)
            record = alice.games.record(match)
            while record.state == State.PLAYING:
                seen = alice.games.version
                if record.said is None and not record.shape:
                    await EXAMPLE["look"](alice, match, 0)
                await alice.games.changed(seen)
            await club.over(match, alice)
            assert record.audit == "holds"
