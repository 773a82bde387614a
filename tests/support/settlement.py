"""Settlement in this process, on a relay in this process, with people who have wallets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import trio

from clients.client import Client
from clients.connection import Refusal
from clients.directory import CannotAdd
from clients.wallet import Wallet
from extensions.settlement import orders
from extensions.settlement.books import Books
from extensions.settlement.check import check
from extensions.settlement.operations import Kind
from extensions.settlement.worker import FILE, Settlement, log_of, make_worker
from relay.testing import TestRelay
from storage.ledger import open_ledger
from tests.support.workers import WAIT_S, Running, Stage, open_stage, until

_ids = count(1)


@dataclass
class Bank:
    """A stage with the settlement worker on it."""

    stage: Stage
    running: Running
    settlement: Settlement

    @property
    def books(self) -> Books:
        """Of the present process."""
        assert self.settlement.books is not None
        return self.settlement.books

    @property
    def account(self) -> bytes:
        """The worker's."""
        return self.running.process.engine.shelf.account

    async def order(self, verb: str, ledger: str = "EUR", **fields: object) -> orders.Done:
        """An order of the operator."""
        id_ = b"order/%d" % next(_ids)
        done = await orders.carry_out(self.books, orders.Order(verb, id_, ledger, **fields))  # type: ignore[arg-type]
        self.settlement.wake()
        return done

    async def person(self, name: str, money: int = 0, ledger: str = "EUR", *, wallet: bool = True) -> Client:
        """Somebody with a wallet, and money in it."""
        client = (await self.stage.person(name)).client
        if wallet:
            with trio.fail_after(WAIT_S):
                while True:
                    try:
                        await client.wallet.open(ledger)
                        break
                    except Refusal:
                        await trio.sleep(0.01)  # the worker has not taken its handle yet
        if money:
            done = await self.order("issue", ledger, account=client.account, exponent=2, amount=money)
            assert done.code == 0, done
            await until(lambda: free(client.wallet, ledger) == money, "the money")
        return client

    async def meet(self, one: Client, other: Client) -> None:
        """Found the conversation of two people, of whom the second may only just have arrived."""
        with trio.fail_after(WAIT_S):
            while True:
                try:
                    await one.pair(other.account)
                    return
                except CannotAdd:
                    await trio.sleep(0.01)

    async def audit(self) -> list[str]:
        """What is wrong with the books; nothing."""
        state = self.books
        rows = await state.journal(0, 1_000_000)
        log = log_of(self.running.process.engine.shelf.identity)
        return list(check(rows, log.secret).problems)

    def sum(self, ledger: str = "EUR") -> int:
        """What all people own together: what was issued."""
        accounts = self.books._state.accounts.items()
        return sum(a.balance for (name, _), a in accounts if name == ledger and a.kind == Kind.PERSON)


def free(wallet: Wallet, ledger: str = "EUR") -> int:
    """What a wallet may spend, as it was last told."""
    return 0 if wallet.book.home is None else wallet.home.accounts.get(ledger, (0, 0, 0, 0))[1]


async def start_bank(stage: Stage, clock_ms: Callable[[], int] | None = None) -> Bank:
    """Start the worker; a currency is open when it is ready."""
    worker = make_worker()
    settlement = worker.take.__self__  # type: ignore[union-attr]
    running = await stage.start(worker, clock_ms=clock_ms)
    await until(lambda: settlement.books is not None, "the books")
    bank = Bank(stage, running, settlement)
    assert (await bank.order("open", "EUR", exponent=2)).code in (0, 31)
    return bank


@asynccontextmanager
async def open_bank(
    home: Path, relay: TestRelay | None = None, clock_ms: Callable[[], int] | None = None
) -> AsyncIterator[Bank]:
    """A relay, the worker, and nobody else yet."""
    async with open_stage(home, relay) as stage:
        yield await start_bank(stage, clock_ms)


__all__ = ["FILE", "Bank", "free", "open_bank", "open_ledger", "start_bank"]
