"""What an operator does, through the command ``chappe`` as it is typed; and old backups that are not served."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import trio

from clients.cli.receipt import as_file
from clients.client import Client
from clients.wallet import Payment
from protocol.codec import decode_struct
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES
from protocol.receipts import Receipt
from tests.support.proof import check
from tests.support.settlement_standby import CHAPPE, ledger, open_settlement
from tests.support.spine.talks import open_person, open_relay_process
from tests.support.workers_proof import WorkerProcess, find

EXIT_REFUSED = 2


async def said(*words: str) -> tuple[int, str]:
    """``chappe …``: exit code and output."""
    done = await trio.run_process([CHAPPE, *words], capture_stdout=True, capture_stderr=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


async def operators(seed: int) -> dict[str, Any]:
    """open, issue, redeem, freeze, limit, statement, check beside a running worker; a receipt checked offline."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            async with open_settlement(home, "worker", relay.url) as worker:
                account = await find(alice, "settlement")
                await worker.until("256 slots granted")
                paid = await _a_day(home, alice, bob, account)
                figures = await _statements(home, alice, paid)
            await ledger(home, "check")  # without a worker
        figures |= await _receipt(home, paid, alice.wallet.home.log)  # nothing runs any more
        return figures


async def _a_day(home: Path, alice: Client, bob: Client, worker: bytes) -> Payment:
    me = alice.account.hex()
    await ledger(home, "open", "EUR")
    for client in (alice, bob):
        await client.wallet.open("EUR", worker=worker)
    for _ in range(2):
        await ledger(home, "issue", me, "50.00", "EUR", "--id", "first")  # counts once
    await ledger(home, "redeem", me, "10.00", "EUR")
    paid = await alice.wallet.pay(bob.account, 1000, "EUR")
    check(paid.state == State.SETTLED, f"a plain payment: {paid}")
    await ledger(home, "freeze", me, "EUR")
    frozen = await alice.wallet.pay(bob.account, 1, "EUR")
    check((frozen.state, frozen.code) == (State.FAILED, LEDGER_CODES + 53), f"a frozen account: {frozen}")
    await ledger(home, "freeze", me, "EUR", "--undo")
    await ledger(home, "limit", me, "EUR", "--payment", "500")
    above = await alice.wallet.pay(bob.account, 501, "EUR")
    check((above.state, above.code) == (State.FAILED, LEDGER_CODES + 57), f"above the limit: {above}")
    await ledger(home, "check")
    return alice.wallet.payment(paid.operation)


async def _statements(home: Path, alice: Client, paid: Payment) -> dict[str, Any]:
    words = ("ledger", "statement", alice.account.hex(), "EUR", "--data", str(home / "workers"))
    found = json.loads((await said(*words, "--json"))[1])
    moved = [entry["amount"] for entry in found["entries"]]
    check(found["opening"] + sum(moved) == found["closing"] == 3000, f"the statement does not add up: {found}")
    check(moved == [5000, -1000, -1000], f"the statement says {moved}")
    check(found["entries"][-1]["operation"] == paid.operation.hex(), "the payment is not in the statement")
    rows = list(csv.reader(io.StringIO((await said(*words))[1])))
    opening, *entries, closing = rows[1:]
    check([int(row[3]) for row in entries] == moved, f"as CSV it says {entries}")
    check((opening[-1], closing[-1]) == ("0", "3000"), f"as CSV: {opening} to {closing}")
    return {"statement": f"{found['opening']} {moved} {found['closing']}"}


async def _receipt(home: Path, paid: Payment, log: str) -> dict[str, Any]:
    file = home / "receipt.json"
    file.write_text(as_file(paid, log))
    code, text = await said("receipt", "verify", str(file), "--worker", paid.worker.hex(), "--json")
    verified = json.loads(text)
    check(code == 0 and verified["verified"], f"chappe receipt verify: {text}")
    check((verified["amount"], verified["payee"]) == (1000, paid.payee.hex()), f"the receipt says {verified}")
    receipt = decode_struct(paid.receipt, Receipt)
    forged = msgspec.structs.replace(receipt, body=receipt.body[:-1] + bytes([receipt.body[-1] ^ 1]))
    changed = msgspec.structs.replace(paid, receipt=msgspec.msgpack.encode(forged))
    file.write_text(as_file(changed, log))
    code, text = await said("receipt", "verify", str(file))
    check(code == 1, f"a forged receipt was verified: {text}")
    return {"receipt offline": "verified", "forged": "refused"}


async def restored(seed: int) -> dict[str, Any]:
    """An old backup of books and worker: it serves until a client shows what it has, and never again after that."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with (
            open_relay_process(home) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
        ):
            async with open_settlement(home, "first", relay.url) as first:
                worker = await find(alice, "settlement")
                await first.until("256 slots granted")
                await ledger(home, "open", "EUR")
                for client in (alice, bob):
                    await client.wallet.open("EUR", worker=worker)
                await ledger(home, "issue", alice.account.hex(), "10.00", "EUR")
            shutil.copytree(home / "workers", home / "backup")
            async with open_settlement(home, "second", relay.url):
                paid = await alice.wallet.pay(bob.account, 100, "EUR")
                check(paid.state == State.SETTLED, f"a plain payment: {paid}")
            new = home / "workers" / "settlement"
            for file in (home / "backup" / "settlement").glob("ledger.db*"):  # the books alone
                shutil.copy(file, new / file.name)
            alone = await _refused(home, "books alone", relay.url)
            shutil.rmtree(home / "workers")
            shutil.copytree(home / "backup", home / "workers")  # books and the worker's database
            async with open_settlement(home, "third", relay.url) as third:
                await third.until("256 slots granted")
                alice.wallet.book.ask_balance()  # with the checkpoint of the receipt
                code = await _ended(third)
                check(code == EXIT_REFUSED, f"the worker ended with {code}: {third.said}")
            again = await _refused(home, "again", relay.url)
            return {"books alone": alone, "both, once a client has asked": code, "the next start": again}


async def _ended(worker: WorkerProcess) -> int:
    with trio.move_on_after(30):
        return await worker.process.wait()
    check(False, f"the worker goes on: {worker.said}")
    raise AssertionError


async def _refused(home: Path, name: str, url: str) -> int:
    async with open_settlement(home, name, url) as worker:
        code = await _ended(worker)
        check(code == EXIT_REFUSED, f"the worker ended with {code}: {worker.said}")
        check("old backup" in worker.said, f"it says {worker.said}")
        return code
