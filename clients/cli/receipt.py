"""``chappe receipt verify FILE``: check a receipt offline, with nothing but the file and the worker's key."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from clients.wallet.records import Payment

command = cyclopts.App(name="receipt", help="Receipts of payments, without a connection.")
EXIT_FALSE = 1
EXIT_UNREADABLE = 2


def as_file(payment: Payment, log: str) -> str:
    """A receipt as a file of JSON: everything that verifying it needs."""
    return json_module.dumps(
        {"worker": payment.worker.hex(), "log": log, "receipt": payment.receipt.hex()}, indent=1
    )  # fmt: skip


@command.command
def verify(
    file: Annotated[Path, Parameter(help="As /payments save, or `chappe pay payments save`, wrote it.")],
    *,
    worker: Annotated[str, Parameter(help="Key of the worker that you trust, in hex; else the file's is shown.")] = "",
    json: Annotated[bool, Parameter(negative="", help="Print one line of JSON.")] = False,
) -> int:
    """Whether a receipt stands in the log that a worker has signed, and what it says. Exit code 1: it does not."""
    from protocol.codec import decode_struct
    from protocol.errors import RemoteProtocolError
    from protocol.payments import read_statement
    from protocol.receipts import Receipt, ReceiptError, verify_receipt

    try:
        found = json_module.loads(file.read_bytes())
        key, log = bytes.fromhex(found["worker"]), str(found["log"])
        receipt = decode_struct(bytes.fromhex(found["receipt"]), Receipt)
    except (OSError, ValueError, KeyError, TypeError, RemoteProtocolError) as error:
        print(f"chappe receipt: {file} cannot be read: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    try:
        checkpoint = verify_receipt(receipt, bytes.fromhex(worker) if worker else key, log)
        statement = read_statement(receipt.body)
    except (ReceiptError, RemoteProtocolError, ValueError) as error:
        print(json_module.dumps({"verified": False, "why": str(error)}) if json else f"NOT VERIFIED: {error}")
        return EXIT_FALSE
    says: dict[str, Any] = {
        "verified": True, "worker": key.hex(), "kind": statement.kind, "done": not statement.code,
        "payer": statement.payer.hex(), "payee": statement.payee.hex(), "amount": statement.amount,
        "ledger": statement.ledger, "exponent": statement.exponent, "sequence": statement.sequence,
        "at_ms": statement.at_ms, "log_size": checkpoint.size,
    }  # fmt: skip
    print(json_module.dumps(says) if json else "\n".join(f"{name}: {value}" for name, value in says.items()))
    return 0
