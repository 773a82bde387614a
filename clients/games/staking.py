"""Between games and the wallet: stakes are put in when a match begins, and what the referee signs goes to settlement.

Money moves only for matches to whose stake this device has said yes (``Record.consent``). Whatever dies when: a stake
is put in once, since the wallet knows it by the hash of its terms; a result that is shown twice counts once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from clients.games.games import GameError, Games
from clients.games.records import STAKE_ASKED, STAKE_HELD, STAKE_SHOWN, Record, State
from clients.wallet import Wallet, WalletError
from clients.wallet.records import Payment
from protocol.codec import decode_struct
from protocol.messages.pay import State as Paid
from protocol.payments import PayError
from protocol.stakes import stake_hash
from protocol.transcript import Genesis, Signed, open_signed
from protocol.wagers import Wager, terms_of

_ON: Final = ("", STAKE_ASKED, STAKE_HELD)


class Staking:
    """See the module. ``account`` is ours."""

    def __init__(self, games: Games, wallet: Wallet, account: bytes) -> None:
        self._games = games
        self._wallet = wallet
        self._account = account
        self._news = trio.Event()
        games.book.changed = self._after(games.book.changed)
        wallet.book.changed = self._after(wallet.book.changed)

    def _after(self, first: Callable[[], None]) -> Callable[[], None]:
        def changed() -> None:
            first()
            self._news.set()

        return changed

    def wager(self, text: str, ledger: str) -> Wager:
        """A stake as somebody types it, from our wallet. Raises ``WalletError``, ``MoneyError``, ``GameError``."""
        wager = Wager(
            self._wallet.home.worker, ledger, self._wallet.exponent(ledger), self._wallet.amount(text, ledger)
        )  # fmt: skip
        self.check(wager)
        return wager

    def check(self, wager: Wager) -> None:
        """Whether we can put this in. Raises ``WalletError``, ``GameError``."""
        if self._wallet.home.worker != wager.worker:
            raise GameError("this stake is held by another settlement worker than yours")
        exponent = self._wallet.exponent(wager.ledger)
        free = self._wallet.home.accounts[wager.ledger][1]
        if exponent != wager.exponent or free < wager.amount:
            raise GameError(f"you have {self._wallet.shown(free, wager.ledger)}, and the stake is {self.shown(wager)}")

    def shown(self, wager: Wager) -> str:
        """For people."""
        return self._wallet.shown(wager.amount, wager.ledger, wager.exponent)

    async def run(self) -> None:
        """Do what is to be done, until cancelled."""
        while True:
            self._news = trio.Event()
            for record in [r for r in self._games.book.records.values() if r.consent and r.stake_state in _ON]:
                if record.genesis and record.wager is not None and not record.alarm:
                    await self._step(record, record.wager)
            await self._news.wait()

    async def _step(self, record: Record, wager: Wager) -> None:
        terms = terms_of(wager, open_signed(decode_struct(record.genesis, Signed), Genesis))
        hash_ = stake_hash(terms)
        mine = [p for p in self._wallet.payments if p.request == hash_ and p.payer == self._account]
        try:
            if mine:
                await self._follow(record, hash_, mine[-1])
            elif record.state == State.PLAYING:
                self._note(record, STAKE_ASKED)
                await self._wallet.stake(terms, timeout_s=0)
        except (WalletError, PayError) as error:
            self._note(record, str(error))

    async def _follow(self, record: Record, hash_: bytes, payment: Payment) -> None:
        if payment.state == Paid.HELD and record.award:
            await self._wallet.show_result(hash_, record.award)
            self._note(record, STAKE_SHOWN)
        elif payment.state == Paid.HELD:
            self._note(record, STAKE_HELD)
        elif payment.state in (Paid.SETTLED, Paid.EXPIRED):  # the others were quicker, or the referee never spoke
            self._note(record, STAKE_SHOWN)
        elif payment.state == Paid.FAILED:
            self._note(record, payment.text or "the stake was refused")

    def _note(self, record: Record, state: str) -> None:
        if record.stake_state != state:
            record.stake_state = state
            self._games.book.save(record)
