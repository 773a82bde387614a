"""One verb of the chat without a chat: for a moment a client, and what the verb shows is printed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from clients.cli.options import CONNECT_S, EXIT_REFUSED

if TYPE_CHECKING:
    from clients.cli.room import Room
    from clients.vault import Vault

Verbs = Mapping[str, Callable[[list[str]], Awaitable[list[str]]]]
SETTLE_S = 5  # for what was said to be stored


async def act(
    url: str, vault: Vault, verbs_of: Callable[[Room], Verbs], verb: str, words: list[str], *, offline: bool = False
) -> list[str]:  # fmt: skip
    """Do it; the lines to show. ``offline``: this device needs no relay. Raises ``TooSlowError``, ``ChappeError``."""
    import trio

    from clients.cli.room import Room
    from clients.client import open_client
    from clients.tasks import sole

    lines: list[str] = []
    try:
        async with open_client(url, vault) as client:
            if not offline:
                with trio.fail_after(CONNECT_S):
                    await client.wait_connected()
            lines = await verbs_of(Room(client))[verb](words)
            with trio.move_on_after(SETTLE_S):
                await client.settled()
    except BaseExceptionGroup as group:
        raise sole(group) from None
    return lines


def show(command: str, url: str, doing: Callable[[], Awaitable[list[str]]], missing: str) -> int:
    """Run it and print; the exit code. ``missing``: where to look when a word is missing."""
    import trio

    from protocol.errors import ChappeError

    try:
        for line in trio.run(doing):
            print(line)
    except (ChappeError, ValueError) as error:
        print(f"chappe {command}: {error}", file=sys.stderr)
    except trio.TooSlowError:
        print(f"chappe {command}: the relay at {url} cannot be reached; nothing was sent", file=sys.stderr)
    except IndexError:
        print(f"chappe {command}: a word is missing; {missing} shows what each verb wants", file=sys.stderr)
    else:
        return 0
    return EXIT_REFUSED
