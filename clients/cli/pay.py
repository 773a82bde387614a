"""``chappe pay``: the wallet without a chat, on a vault that no chat has open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from clients.cli.options import (
    CONNECT_S,
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
VERBS = ("wallet", "pay", "request", "decline", "refund", "payments")


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
    import trio

    from protocol.errors import ChappeError

    if verb not in VERBS:
        print(f"chappe pay: `{verb}` is none of {', '.join(VERBS)}", file=sys.stderr)
        return EXIT_REFUSED
    with opened("pay", data, key_file, passphrase_file) as vault:
        try:
            for line in trio.run(_run, url, vault, verb, list(words)):
                print(line)
        except (ChappeError, ValueError) as error:
            print(f"chappe pay: {error}", file=sys.stderr)
        except trio.TooSlowError:
            print(f"chappe pay: the relay at {url} cannot be reached; nothing was sent", file=sys.stderr)
        except IndexError:
            print("chappe pay: a word is missing; /help in a chat shows what each verb wants", file=sys.stderr)
        else:
            return 0
    return EXIT_REFUSED


async def _run(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
    import trio

    from clients.cli.money import Money
    from clients.cli.room import Room
    from clients.client import open_client
    from clients.tasks import sole

    lines: list[str] = []
    try:
        async with open_client(url, vault) as client:
            with trio.fail_after(CONNECT_S):
                await client.wait_connected()
            lines = await Money(Room(client)).verbs[verb](words)
            with trio.move_on_after(5):
                await client.settled()
    except BaseExceptionGroup as group:
        raise sole(group) from None
    return lines
