"""``chappe ledger`` on a worker's directory, running or not."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path

import pytest
import trio
import xmlschema

from extensions.host import open_database
from extensions.settlement import bounds, cli
from extensions.settlement import operations as ops
from extensions.settlement.books import open_books
from extensions.settlement.worker import FILE, log_of, make_worker
from storage.ledger import open_ledger, prepare_ledger
from storage.sqlite import unix_ms
from tests.support.vectors import vector_path

WHO = "ab" * 32


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where a settlement worker has run."""
    with open_database(make_worker(), tmp_path / "settlement"):
        prepare_ledger(tmp_path / "settlement" / "ledger.db")
    return tmp_path


def test_an_operators_day(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.open_ledger_("EUR", data=data) == 0
    assert cli.open_ledger_("points", exponent=0, data=data) == 0
    assert cli.issue(WHO, "12.50", "EUR", id="a", data=data) == 0
    assert cli.issue(WHO, "12.50", "EUR", id="a", data=data) == 0  # counts once
    assert cli.redeem(WHO, "2.50", "EUR", data=data) == 0
    assert cli.limit(WHO, "EUR", payment=100, balance=5000, data=data) == 0
    assert cli.freeze(WHO, "EUR", data=data) == 0
    assert cli.freeze(WHO, "EUR", data=data) == 1
    assert cli.freeze(WHO, "EUR", undo=True, data=data) == 0
    capsys.readouterr()
    assert cli.check(data=data) == 0
    assert "0 problems" in capsys.readouterr().out
    assert cli.statement(WHO, "EUR", json=True, data=data) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["opening"], [entry["amount"] for entry in said["entries"]], said["closing"]) == (0, [1250, -250], 1000)
    assert cli.statement(WHO, "EUR", since_ms=10**14, data=data) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [",,opening,,,,1000", ",,closing,,,,1000"]
    assert cli.statement(WHO, "EUR", data=data) == 0


@pytest.mark.parametrize(
    ("account", "amount", "ledger"), [("zz", "1", "EUR"), (WHO, "1.005", "EUR"), (WHO, "1", "CHF")]
)
def test_what_is_refused(data: Path, account: str, amount: str, ledger: str) -> None:
    cli.open_ledger_("EUR", data=data)
    with pytest.raises(SystemExit):
        cli.issue(account, amount, ledger, data=data)


def test_no_worker_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        cli.check(data=tmp_path)


def test_beside_a_worker_that_does_not_answer(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "ORDER_WAIT_S", 0.01)
    with open_database(make_worker(), data / "settlement"), pytest.raises(SystemExit):
        cli.open_ledger_("EUR", data=data)


def test_beside_a_worker_that_does(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from extensions.settlement import orders
    from extensions.store import WorkerBatch

    real = cli._through_worker

    async def with_worker(vault: object, order: orders.Order) -> object:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(answer, vault))
            return await real(vault, order)

    async def answer(vault: object) -> None:
        await trio.sleep(0.01)
        for number, _ in vault.query(orders.WAITING):  # type: ignore[attr-defined]
            done = orders.answered(number, orders.Done(0, "done", 5))
            vault.commit([WorkerBatch(writes=[done])])  # type: ignore[attr-defined]

    monkeypatch.setattr(cli, "_through_worker", with_worker)
    with open_database(make_worker(), data / "settlement"):
        assert cli.open_ledger_("EUR", data=data) == 0


def test_damage_is_found(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cli.open_ledger_("EUR", data=data)
    real = cli._read

    def damaged(where: Path) -> object:
        rows, checkpoint, identity = real(where)
        return rows[:-1], checkpoint, identity

    monkeypatch.setattr(cli, "_read", damaged)
    assert cli.check(data=data) == 1


def test_balances_are_those_of_the_journal(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.open_ledger_("EUR", data=data)
    cli.issue(WHO, "12.50", "EUR", data=data)
    cli.issue("cd" * 32, "2.50", "EUR", data=data)

    identity = cli._read(data)[2]

    async def snapshot() -> None:
        async with (
            open_ledger(data / "settlement" / FILE, clock_ms=unix_ms) as ledger,
            open_books(ledger, log_of(identity), snapshot_every=1) as books,
        ):
            await books.submit(ops.Freeze(b"f", bytes.fromhex(WHO), "EUR"))

    trio.run(snapshot)
    capsys.readouterr()
    assert cli.check(data=data) == 0
    with sqlite3.connect(data / "settlement" / FILE) as connection:  # a cent from one to the other: the sums stay
        change = "UPDATE ledger_accounts SET credits_posted = credits_posted + ? WHERE owner = ?"
        connection.executemany(change, [(1, bytes.fromhex(WHO)), (-1, b"\xcd" * 32)])
    connection.close()
    assert cli.check(data=data) == 1
    assert f"EUR {WHO}: the books say" in capsys.readouterr().out
    with sqlite3.connect(data / "settlement" / FILE) as connection:
        connection.execute(change, (1, bytes.fromhex(WHO)))
    connection.close()
    assert cli.check(data=data) == 1
    assert "debits and credits differ in EUR" in capsys.readouterr().out


@pytest.mark.parametrize(("payment", "amount"), [("zz", 0), ("ab" * 47, 0), ("ab" * 48, -1), ("ab" * 48, 5)])
def test_a_dispute_is_decided_where_the_worker_runs(data: Path, payment: str, amount: int) -> None:
    with pytest.raises(SystemExit):
        cli.resolve(payment, amount, data=data)


def test_a_statement_for_bookkeeping_software(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.open_ledger_("EUR", data=data)
    cli.open_ledger_("points", exponent=0, data=data)
    cli.issue(WHO, "12.50", "EUR", data=data)
    cli.redeem(WHO, "2.50", "EUR", data=data)
    capsys.readouterr()
    assert cli.statement(WHO, "EUR", format="camt053", data=data) == 0
    made = capsys.readouterr().out
    xmlschema.XMLSchema(str(vector_path("iso20022/camt.053.001.08.xsd"))).validate(made)
    assert [amount in made for amount in (">12.50<", ">2.50<", ">10.00<")] == [True] * 3
    for ledger in ("points", "CHF"):
        with pytest.raises(SystemExit):
            cli.statement(WHO, ledger, format="camt053", data=data)
