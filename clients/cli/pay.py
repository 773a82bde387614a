"""``chappe pay``: the wallet without a chat, on a vault that no chat has open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

command = cyclopts.App(name="pay", help="Pay, ask and look at payments: what /wallet, /pay and the like do in a chat.")
DEFAULT_URL = "ws://127.0.0.1:8790/ws"
EXIT_REFUSED = 2
VERBS = ("wallet", "pay", "request", "decline", "refund", "payments", "split", "packet", "claim")


@command.default
def pay(
    verb: Annotated[str, Parameter(help=f"One of {', '.join(VERBS)}.")],
    *words: Annotated[str, Parameter(help="As in the chat; what moves money ends with `yes`.")],
    url: Annotated[str, Parameter(help="Address of the relay.")] = DEFAULT_URL,
    data: Annotated[Path, Parameter(help="Directory of the vault.")] = Path("~/.local/share/chappe/me"),
) -> int:
    """Do one thing with the wallet of a vault, and print what came of it."""
    import trio

    from clients.vault import Secret, Vault, VaultError
    from protocol.errors import ChappeError

    directory = data.expanduser()
    if verb not in VERBS or not (directory / "vault.db").exists():
        print(f"chappe pay: a verb of {', '.join(VERBS)}, and a vault in {directory}, are wanted", file=sys.stderr)
        return EXIT_REFUSED
    try:
        vault = Vault(directory / "vault.db", Secret.key_file(directory / "vault.key"))
    except VaultError as error:
        print(f"chappe pay: {error}", file=sys.stderr)
        return EXIT_REFUSED
    try:
        for line in trio.run(_run, url, vault, verb, list(words)):
            print(line)
    except (ChappeError, ValueError) as error:
        print(f"chappe pay: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except IndexError:
        print("chappe pay: a word is missing; /help in a chat shows what each verb wants", file=sys.stderr)
        return EXIT_REFUSED
    finally:
        vault.close()
    return 0


async def _run(url: str, vault: object, verb: str, words: list[str]) -> list[str]:
    import trio

    from clients.cli.money import Money
    from clients.cli.room import Room
    from clients.client import open_client
    from clients.tasks import sole
    from clients.vault import Vault

    assert isinstance(vault, Vault)
    lines: list[str] = []
    try:
        async with open_client(url, vault) as client:
            await client.wait_connected()
            lines = await Money(Room(client)).verbs[verb](words)
            with trio.move_on_after(5):
                await client.settled()
    except BaseExceptionGroup as group:
        raise sole(group) from None
    return lines
