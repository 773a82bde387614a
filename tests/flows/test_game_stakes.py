"""Matches for money: the referee and settlement on one relay, neither knowing of the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.client import Client
from clients.games import GameError
from extensions.settlement import bounds
from protocol import limits as L
from protocol.messages.pay import State
from tests.clients.cli.test_gaming import Face
from tests.support.games import Club, start_club
from tests.support.settlement import Bank, free, start_bank
from tests.support.workers import Stage, open_stage, until

ABORTED = 2
ENDS = [State.SETTLED, State.SETTLED, State.EXPIRED]


async def test_won_drawn_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A match that is won pays the winner after the window; a draw and a match called off give back what was put in."""
    monkeypatch.setattr(bounds, "TICK_S", 0.01)
    async with open_stage(tmp_path) as stage:
        (tmp_path / "games").mkdir()
        beside = Stage(stage.relay, tmp_path / "games", stage.nursery, stage.stack)  # another worker's database
        bank, club = await start_bank(stage), await start_club(beside)
        alice, bob = await _player(bank, club, "alice"), await _player(bank, club, "bob")
        await bob.client.add_contact(alice.client.account, "alice")
        await club.meet(alice.client, bob.client)
        won = await _staked(alice, bob)
        await _refuses_to_wait(alice, won)
        await _held(won, alice, bob)
        winner = alice if alice.client.games.record(won).seat == 0 else bob
        await club.play(won, (alice.client, bob.client), "0", "3", "1", "4", "2")
        drawn = await _staked(bob, alice)
        await _held(drawn, alice, bob)
        await alice.do("draw")
        await until(lambda: bob.client.games.position(drawn).draw_by is not None, "the offer")
        await bob.do("draw")
        off = await _staked(alice, bob)
        await _held(off, alice, bob)
        for face in (alice, bob):
            assert (await face.client.wallet.balance())["EUR"][1:3] == (1000 - 3 * 125, 3 * 125)
        await bob.do("abort")
        for face in (alice, bob):
            await until(lambda f=face: _stakes(f)[ABORTED] == State.EXPIRED, "the money back")  # type: ignore[misc]
            await until(lambda f=face: f.client.games.record(won).stake_state == "over", "it to be shown")  # type: ignore[misc]
            await until(lambda f=face: f.client.games.record(drawn).stake_state == "over", "it to be shown")  # type: ignore[misc]
            assert _stakes(face)[:ABORTED] == [State.HELD, State.HELD]  # the window is open
            assert "stake: 1.25 EUR each, over" in await face.do(f"game show {won.hex()}")
        stage.ahead_ms += L.GAME_STAKE_WINDOW_MS + 1
        loser = bob if winner is alice else alice
        await until(lambda: free(winner.client.wallet) == 1125, "the winnings")
        await until(lambda: free(loser.client.wallet) == 875, "what is left")
        for face in (alice, bob):
            await until(lambda f=face: _stakes(f) == ENDS, "the end")  # type: ignore[misc]
        assert bank.sum() == 2000
        assert await bank.audit() == []


async def _player(bank: Bank, club: Club, name: str) -> Face:
    client: Client = await bank.person(name, 1000)
    await client.claim_handle(name)
    await club.befriend(client)
    return Face(client)


async def _staked(one: Face, other: Face) -> bytes:
    """Both have said yes to 1.25 EUR, and the match has begun."""
    name = "bob" if other.client.engine.shelf.identity.handle == "bob" else "alice"
    with pytest.raises(GameError, match=r"1\.25 EUR of yours are held"):
        await one.do(f"play tictactoe {name} stake 1.25 EUR")
    await one.do(f"play tictactoe {name} stake 1.25 EUR yes")
    match = one.gaming.offered
    await until(lambda: match in other.client.games.book.records, "the invitation")
    await other.says("offers tictactoe for 1.25 EUR each")
    with pytest.raises(GameError, match="To agree"):
        await other.do(f"accept-game {match.hex()}")
    with pytest.raises(GameError, match="with the stake"):
        await other.client.games.accept(match)
    await other.do(f"accept-game {match.hex()} yes")
    for face in (one, other):
        await until(lambda f=face: f.client.games.record(match).genesis, "the beginning")  # type: ignore[misc]
    return match


async def _refuses_to_wait(face: Face, match: bytes) -> None:
    """No move for money that is not there."""
    record = face.client.games.record(match)
    now, record.stake_state = record.stake_state, "no money"
    with pytest.raises(GameError, match=r"not held yet \(no money\)"):
        await face.client.games.move(match, "0")
    record.stake_state = now


async def _held(match: bytes, *faces: Face) -> None:
    for face in faces:
        await until(lambda f=face: f.client.games.record(match).stake_state == "held", "the stakes")  # type: ignore[misc]


def _stakes(face: Face) -> list[int]:
    """The states of our stakes, in the order of the matches."""
    return [p.state for p in face.client.wallet.payments if p.memo == "stake" and p.payer == face.client.account]
