"""``chappe feed``: the feed without a chat, on a vault that no chat has open."""

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

command = cyclopts.App(name="feed", help="Post and read: what /post, /timeline and the like do in a chat.")


@command.default
def feed(
    verb: Annotated[str, Parameter(help="As in a chat: post, timeline, thread, follow, like, … ; `help` shows all.")],
    *words: Annotated[str, Parameter(help="As in the chat.")],
    url: Url = URL,
    data: Data = DEFAULT_DATA,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Do one thing with the feed of a vault, and print what came of it."""
    import trio

    from clients.cli.posting import HELP, VERBS
    from clients.cli.ranking import HELP as RANKING_HELP
    from clients.cli.ranking import VERBS as RANKING_VERBS
    from protocol.errors import ChappeError

    if verb == "help":
        print(f"{HELP}\n{RANKING_HELP}".replace("[bold]/", "").replace("[/]", ""))
        return 0
    known = (*VERBS, *RANKING_VERBS)
    if verb not in known:
        print(f"chappe feed: `{verb}` is none of {', '.join(known)}", file=sys.stderr)
        return EXIT_REFUSED
    with opened("feed", data, key_file, passphrase_file) as vault:
        try:
            for line in trio.run(_run, url, vault, verb, list(words)):
                print(line)
        except (ChappeError, ValueError) as error:
            print(f"chappe feed: {error}", file=sys.stderr)
        except trio.TooSlowError:
            print(f"chappe feed: the relay at {url} cannot be reached; nothing was sent", file=sys.stderr)
        except IndexError:
            print("chappe feed: a word is missing; `chappe feed help` shows what each verb wants", file=sys.stderr)
        else:
            return 0
    return EXIT_REFUSED


async def _run(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
    import trio

    from clients.cli.posting import Posting
    from clients.cli.ranking import RankVerbs
    from clients.cli.room import Room
    from clients.client import open_client
    from clients.tasks import sole

    lines: list[str] = []
    try:
        async with open_client(url, vault) as client:
            if (verb, words[:1]) != ("ranked", ["local"]):  # which this device can do by itself
                with trio.fail_after(CONNECT_S):
                    await client.wait_connected()
            posting = Posting(Room(client))
            lines = await (posting.verbs | RankVerbs(Room(client), posting).verbs)[verb](words)
            with trio.move_on_after(5):
                await client.settled()
    except BaseExceptionGroup as group:
        raise sole(group) from None
    return lines
