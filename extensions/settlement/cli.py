"""``chappe ledger``: what an operator does with the books, on the machine where the worker's directory is.

Orders go through the worker where it runs, and into the books directly where it does not. ``check`` and ``statement``
only read, beside a running worker too.
"""

from __future__ import annotations

import csv
import json as json_module
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from extensions.settlement.check import Sums
    from extensions.settlement.orders import Done, Order
    from storage.ledger_base import JournalRow

command = cyclopts.App(name="ledger", help="Look after the books of the settlement worker.")
DEFAULT_DATA = Path("~/.local/share/chappe/workers")
EXIT_REFUSED = 2
EXIT_WRONG = 1
Data = Annotated[Path, Parameter(help="Directory of all workers: `DATA/workers` of `chappe up`.")]
Ledger = Annotated[str, Parameter(help="A currency (EUR), or credits of your own (points).")]
Account = Annotated[str, Parameter(help="The account, 64 hex digits: `chappe account show` says it.")]
Amount = Annotated[str, Parameter(help="Like 12 or 12.50.")]
Id = Annotated[str, Parameter(help="Idempotency key: the same order under the same id counts once.")]


@command.command(name="open")
def open_ledger_(
    ledger: Ledger, *, exponent: Annotated[int | None, Parameter(help="Digits behind the point.")] = None,
    data: Data = DEFAULT_DATA,
) -> int:  # fmt: skip
    """Begin a currency (its exponent is that of ISO 4217) or credits of your own."""
    from extensions.settlement.currencies import exponent_of
    from extensions.settlement.orders import Order

    digits = exponent if exponent is not None else exponent_of(ledger)
    return _order(data, Order("open", b"-", ledger, 2 if digits is None else digits))


@command.command
def issue(account: Account, amount: Amount, ledger: Ledger, *, id: Id = "", data: Data = DEFAULT_DATA) -> int:
    """Put money into circulation: into somebody's account."""
    return _money("issue", account, amount, ledger, id, data)


@command.command
def redeem(account: Account, amount: Amount, ledger: Ledger, *, id: Id = "", data: Data = DEFAULT_DATA) -> int:
    """Take money out of circulation."""
    return _money("redeem", account, amount, ledger, id, data)


@command.command
def freeze(
    account: Account, ledger: Ledger, *, undo: Annotated[bool, Parameter(negative="")] = False,
    data: Data = DEFAULT_DATA,
) -> int:  # fmt: skip
    """Nothing moves from or to an account any more; --undo ends it."""
    from extensions.settlement.orders import Order

    return _order(data, Order("unfreeze" if undo else "freeze", os.urandom(16), ledger, account=_key(account)))


@command.command
def limit(
    account: Account, ledger: Ledger, *,
    payment: Annotated[int, Parameter(help="Most of one payment, minor units.")] = 0,
    balance: Annotated[int, Parameter(help="Most that it may hold, minor units.")] = 0, data: Data = DEFAULT_DATA,
) -> int:  # fmt: skip
    """Bound an account; 0 is no bound."""
    from extensions.settlement.orders import Order

    order = Order("limit", os.urandom(16), ledger, account=_key(account), amount_max=payment, balance_max=balance)
    return _order(data, order)


@command.command
def resolve(
    payment: Annotated[str, Parameter(help="The disputed payment: 96 hex digits, as `statement` shows it.")],
    amount: Annotated[int, Parameter(help="How much goes back to the payer, in minor units; 0: nothing.")],
    *, data: Data = DEFAULT_DATA,
) -> int:  # fmt: skip
    """Decide a dispute on which payer and payee do not agree: the rest of what is frozen is the payee's again."""
    from extensions.settlement.orders import Order

    try:
        operation = bytes.fromhex(payment)
    except ValueError:
        operation = b""
    if len(operation) != 48 or amount < 0:
        raise _refuse("a payment is 96 hex digits, as `chappe ledger statement` shows it, and an amount not negative")
    return _order(data, Order("resolve", os.urandom(16), "", amount=amount, memo=operation))


@command.command
def check(*, data: Data = DEFAULT_DATA) -> int:
    """Audit the books: sums, sequence, balances, receipts, expiries. Exit code 1: something is wrong."""
    from extensions.settlement.check import check as audit
    from extensions.settlement.worker import log_of
    from protocol.receipts import open_checkpoint

    balances, known, broken = _balances(data)
    rows, checkpoint, identity = _read(data)
    log = log_of(identity)
    root = open_checkpoint(checkpoint, log.key.public, log.name).root if checkpoint else None
    found = audit(rows, log.secret, root=root)
    problems = [*found.problems, *([broken] if broken else [])]
    if balances is not None:  # beside a running worker the journal has grown since
        problems += set(audit(rows[:known], log.secret, balances=balances).problems).difference(problems)
    for problem in problems:
        print(problem)
    print(f"{found.records} records, {len(found.balances)} accounts, {len(problems)} problems")
    return EXIT_WRONG if problems else 0


@command.command
def statement(
    account: Account, ledger: Ledger, *,
    json: Annotated[bool, Parameter(negative="", help="As --format json.")] = False,
    format: Annotated[
        Literal["csv", "json", "camt053"], Parameter(help="camt053: ISO 20022, for bookkeeping software.")
    ] = "csv",
    since_ms: Annotated[int, Parameter(help="Unix ms.")] = 0, data: Data = DEFAULT_DATA,
) -> int:  # fmt: skip
    """All lines of an account: opening balance + entries = closing balance."""
    rows, _, _ = _read(data)
    opening, entries, closing = statement_of(rows, _key(account), ledger, since_ms)
    if format == "camt053":
        return _camt053(rows, account, ledger, opening, entries, since_ms)
    if json or format == "json":
        print(json_module.dumps({"opening": opening, "entries": entries, "closing": closing}))
        return 0
    writer = csv.writer(sys.stdout)
    writer.writerow(["sequence", "at_ms", "kind", "amount", "other", "operation", "balance"])
    writer.writerow(["", "", "opening", "", "", "", opening])
    balance = opening
    for entry in entries:
        balance += entry["amount"]
        writer.writerow([*entry.values(), balance])
    writer.writerow(["", "", "closing", "", "", "", closing])
    return 0


def _camt053(
    rows: list[JournalRow], account: str, ledger: str, opening: int, entries: list[dict[str, Any]], since_ms: int
) -> int:  # fmt: skip
    from protocol.iso20022 import Line, NotExpressible
    from protocol.iso20022 import statement as made
    from storage.sqlite import unix_ms

    lines = [
        Line(
            entry["sequence"], entry["at_ms"], entry["kind"], entry["amount"], bytes.fromhex(entry["other"]),
            bytes.fromhex(entry["operation"]),
        )
        for entry in entries
    ]  # fmt: skip
    exponent = _exponents(rows).get(ledger)
    if exponent is None:
        raise _refuse(f"{ledger} is not open; `chappe ledger open {ledger}` begins it")
    try:
        data = made(
            _key(account), ledger, exponent, opening, lines, id_=f"{ledger}-{len(rows)}-{account[:16]}",
            since_ms=since_ms, now_ms=unix_ms(),
        )  # fmt: skip
    except NotExpressible as error:
        raise _refuse(str(error)) from None
    sys.stdout.write(data.decode())
    return 0


def _exponents(rows: list[JournalRow]) -> dict[str, int]:
    from extensions.settlement.operations import OpenLedger, decode_record

    found: dict[str, int] = {}
    for row in rows:
        record = decode_record(row.body)
        if isinstance(record.operation, OpenLedger) and not record.code:
            found[record.operation.ledger] = record.operation.exponent
    return found


def statement_of(
    rows: list[JournalRow], account: bytes, ledger: str, since_ms: int
) -> tuple[int, list[dict[str, Any]], int]:  # fmt: skip
    """(opening balance, entries from ``since_ms`` on, closing balance), in minor units."""
    from extensions.settlement.operations import decode_record
    from extensions.settlement.voice import movements

    records = [decode_record(row.body) for row in rows]
    by_id = {record.operation.id: record for record in records}
    opening = 0
    entries: list[dict[str, Any]] = []
    for line in movements(records, by_id):
        entry = line.entry
        if line.account != account or entry.ledger != ledger:
            continue
        if entry.at_ms < since_ms:
            opening += entry.amount
        else:
            entries.append({
                "sequence": entry.sequence, "at_ms": entry.at_ms, "kind": entry.kind, "amount": entry.amount,
                "other": entry.other.hex(), "operation": entry.operation.hex(),
            })  # fmt: skip
    return opening, entries, opening + sum(entry["amount"] for entry in entries)


# -- inside ------------------------------------------------------------------------------------------------------------
def _refuse(text: str) -> SystemExit:
    print(f"chappe ledger: {text}", file=sys.stderr)
    return SystemExit(EXIT_REFUSED)


def _key(account: str) -> bytes:
    try:
        key = bytes.fromhex(account)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise _refuse("an account is 64 hex digits; `chappe account show` says it")
    return key


def _home(data: Path) -> Path:
    home = data.expanduser() / "settlement"
    if not (home / "worker.db").exists():
        raise _refuse(f"no settlement worker has run in {data}; start one: chappe up --with settlement")
    return home


def _money(verb: str, account: str, amount: str, ledger: str, id_: str, data: Path) -> int:
    from extensions.settlement.orders import Order
    from protocol.money import MoneyError, parse_amount

    exponents = _exponents(_read(data)[0])
    if ledger not in exponents:
        raise _refuse(f"{ledger} is not open; `chappe ledger open {ledger}` begins it")
    try:
        minor = parse_amount(amount, exponents[ledger])
    except MoneyError as error:
        raise _refuse(str(error)) from None
    key = f"order/{id_}".encode() if id_ else os.urandom(16)
    return _order(data, Order(verb, key, ledger, exponents[ledger], _key(account), minor))


def _order(data: Path, order: Order) -> int:
    import trio

    from clients.vault import VaultError
    from extensions.errors import WorkerError
    from extensions.letters import opened
    from extensions.store import is_running

    home = _home(data)
    runs = is_running(home / "worker.db")
    if order.verb == "resolve" and not runs:
        raise _refuse("both sides are told, so the worker has to run: chappe up --with settlement")
    try:
        with opened(data.expanduser(), "settlement") as vault:
            done = trio.run(_through_worker if runs else _directly, vault, order)
    except (WorkerError, VaultError) as error:
        raise _refuse(str(error)) from None
    if done is None:
        raise _refuse("the worker has not answered; the order stands and is carried out when it does")
    print(f"{done.text} (record {done.sequence})" if done.sequence else done.text)
    return 0 if done.code in (0, 31) else EXIT_WRONG


async def _through_worker(vault: Any, order: Order) -> Done | None:
    import msgspec
    import trio

    from extensions.settlement import bounds, orders
    from extensions.store import WorkerBatch

    vault.commit([WorkerBatch(writes=[orders.put(order)])])
    asked = msgspec.msgpack.encode(order)
    with trio.move_on_after(bounds.ORDER_WAIT_S):
        while True:
            rows = vault.query(orders.ANSWER, (asked,))
            if rows:
                return msgspec.msgpack.decode(rows[-1][0], type=orders.Done)
            await trio.sleep(0.1)
    return None


async def _directly(vault: Any, order: Order) -> Done | None:
    import msgspec

    from clients import records as R
    from extensions.settlement.orders import carry_out
    from extensions.settlement.worker import FILE, open_the_books
    from storage.sqlite import unix_ms

    identity = msgspec.msgpack.decode(vault.get(R.META, b"identity"), type=R.Identity)
    async with open_the_books(vault.path.with_name(FILE), identity, unix_ms) as books:
        return await carry_out(books, order)


def _balances(data: Path) -> tuple[dict[tuple[str, bytes], Sums] | None, int, str]:
    """(what a start would take for the balances: snapshot and tail; after how many records; why it would not start)."""
    import trio

    from extensions.settlement.restart import BooksBroken, load
    from extensions.settlement.state import State
    from extensions.settlement.worker import FILE
    from storage.ledger import open_ledger
    from storage.sqlite import unix_ms

    async def run() -> State | str:
        async with open_ledger(_home(data) / FILE, clock_ms=unix_ms) as ledger:
            try:
                return (await load(ledger, await ledger.head()))[0]
            except BooksBroken as error:
                return str(error)

    found = trio.run(run)
    if isinstance(found, str):
        return None, 0, found
    accounts = found.accounts.items()
    sums = {k: (a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted) for k, a in accounts}
    return sums, found.sequence, ""


def _read(data: Path) -> tuple[list[JournalRow], bytes, Any]:
    """(the journal, its last checkpoint, the worker's identity), without taking the ledger over."""
    import msgspec
    import trio

    from clients import records as R
    from extensions.letters import opened
    from extensions.settlement.worker import FILE
    from storage.ledger import open_ledger
    from storage.sqlite import unix_ms

    home = _home(data)
    with opened(data.expanduser(), "settlement") as vault:
        identity = msgspec.msgpack.decode(vault.get(R.META, b"identity") or b"", type=R.Identity)

    async def run() -> tuple[list[JournalRow], bytes]:
        async with open_ledger(home / FILE, clock_ms=unix_ms) as ledger:
            head = await ledger.head()
            rows: list[JournalRow] = []
            while len(rows) < head.sequence:
                rows += await ledger.journal(len(rows), min(5000, head.sequence - len(rows)))
            return rows, await ledger.checkpoint(head.sequence) or b""

    rows, checkpoint = trio.run(run)
    return rows, checkpoint, identity
