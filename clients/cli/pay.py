"""``chappe pay``: the wallet without a chat, on a vault that no chat has open."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from clients.cli.options import (
    DEFAULT_DATA,
    EXIT_REFUSED,
    URL,
    Data,
    KeyFile,
    PassphraseFile,
    Url,
    opened,
)

if TYPE_CHECKING:
    from clients.vault import Vault

command = cyclopts.App(name="pay", help="Pay, ask and look at payments: what /wallet, /pay and the like do in a chat.")
VERBS = ("wallet", "pay", "request", "decline", "refund", "payments", "split", "packet", "claim", "dispute")


@command.default
def pay(
    verb: Annotated[str, Parameter(help=f"One of {', '.join(VERBS)}.")],
    *words: Annotated[str, Parameter(help="As in the chat; what moves money ends with `yes`.")],
    url: Url = URL,
    data: Data = DEFAULT_DATA,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Do one thing with the wallet of a vault, and print what came of it."""
    from clients.cli.once import show

    if verb not in VERBS:
        print(f"chappe pay: `{verb}` is none of {', '.join(VERBS)}", file=sys.stderr)
        return EXIT_REFUSED
    with opened("pay", data, key_file, passphrase_file) as vault:
        return show("pay", url, partial(_run, url, vault, verb, list(words)), "/help in a chat")


async def _run(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
    from clients.cli.money import Money
    from clients.cli.once import act

    return await act(url, vault, lambda room: Money(room).verbs, verb, words)
