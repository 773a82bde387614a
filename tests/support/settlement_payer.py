"""A payer as a process of its own: it says ``P`` when the payment is safe in its vault, and waits to be killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from clients.client import open_client
from clients.vault import Secret, Vault


async def run(home: Path, url: str, payee: bytes) -> None:
    """Pay once."""
    vault = Vault(home / "vault.db", Secret.key_file(home / "vault.key"))
    async with open_client(url, vault) as client:
        await client.wallet.pay(payee, 1250, "EUR", timeout_s=0)
        os.write(1, b"P\n")
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(run, Path(sys.argv[1]), sys.argv[2], bytes.fromhex(sys.argv[3]))
