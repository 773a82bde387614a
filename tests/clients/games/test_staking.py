"""Stakes as a player's device has them: what it does not agree to, and what cannot be put in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from clients.client import Client
from clients.games import GameError
from clients.wallet import WalletError
from protocol.messages.pay import State as Paid
from protocol.money import MoneyError
from protocol.wagers import Wager
from tests.support.games import Club, start_club
from tests.support.settlement import Bank, start_bank
from tests.support.workers import Stage, open_stage, until


@dataclass
class Evening:
    """Both workers and two people, of whom only the first has a wallet from the beginning."""

    bank: Bank
    club: Club
    alice: Client
    bob: Client

    async def begin(self, wager: Wager) -> bytes:
        await self.club.meet(self.alice, self.bob)
        match = await self.alice.games.offer("tictactoe", self.bob.account, wager=wager)
        await until(lambda: match in self.bob.games.book.records, "the invitation")
        await self.bob.games.accept(match, wager=self.bob.games.record(match).wager)
        for client in (self.alice, self.bob):
            await until(lambda c=client: c.games.record(match).genesis, "the beginning")  # type: ignore[misc]
        return match


async def _evening(stage: Stage) -> Evening:
    (stage.home / "games").mkdir()
    bank = await start_bank(stage)
    club = await start_club(Stage(stage.relay, stage.home / "games", stage.nursery, stage.stack))
    alice, bob = await bank.person("alice", 1000), await bank.person("bob", wallet=False)
    await club.befriend(alice)
    await club.befriend(bob)
    return Evening(bank, club, alice, bob)


async def test_what_cannot_be_put_in(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        evening = await _evening(stage)
        alice, bob, bank = evening.alice, evening.bob, evening.bank
        wager = alice.staking.wager("10", "EUR")
        assert (wager, alice.staking.shown(wager)) == (Wager(bank.account, "EUR", 2, 1000), "10.00 EUR")
        with pytest.raises(MoneyError):
            alice.staking.wager("0", "EUR")
        with pytest.raises(GameError, match=r"you have 10\.00 EUR"):
            alice.staking.wager("10.01", "EUR")
        with pytest.raises(GameError, match="another settlement worker"):
            alice.staking.check(msgspec.structs.replace(wager, worker=b"w" * 32))
        with pytest.raises(WalletError):
            bob.staking.wager("1", "EUR")
        match = await evening.begin(wager)
        await until(lambda: "no wallet" in bob.games.record(match).stake_state, "the reason")
        await until(lambda: alice.games.record(match).stake_state == "asked", "what alice does")
        with pytest.raises(GameError, match="the other one may still come"):
            await alice.games.move(match, "0")
        await alice.games.abort(match)
        assert (await alice.wallet.balance())["EUR"][1:3] == (1000, 0)  # held together, or not at all
        again = await _with_too_little(evening, wager)
        assert bob.games.record(again).stake_state not in ("", "held", "over")


async def _with_too_little(evening: Evening, wager: Wager) -> bytes:
    """A second match: now there is a wallet, and nothing in it."""
    await evening.bob.wallet.open("EUR")
    match = await evening.begin(wager)
    for client in (evening.alice, evening.bob):
        await until(lambda c=client: c.wallet.payments and c.wallet.payments[-1].state == Paid.FAILED, "the refusal")  # type: ignore[misc]
        await until(lambda c=client: c.games.record(match).stake_state not in ("", "asked"), "the reason")  # type: ignore[misc]
    return match


async def test_a_stake_that_the_referee_changed_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table must name what was offered, else nothing is put in."""
    async with open_stage(tmp_path) as stage:
        evening = await _evening(stage)
        wager = evening.alice.staking.wager("1", "EUR")
        save = evening.alice.games.book.save_offer

        def forged(offer: object) -> None:
            offer.wager = msgspec.structs.replace(wager, amount=99)  # type: ignore[attr-defined]
            save(offer)  # type: ignore[arg-type]

        monkeypatch.setattr(evening.alice.games.book, "save_offer", forged)
        match = await evening.begin(wager)
        assert not evening.alice.games.record(match).consent
        assert evening.alice.games.record(match).stake_state == ""
        assert evening.alice.wallet.payments[1:] == []
