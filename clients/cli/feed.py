"""``chappe feed``: the feed without a chat, on a vault that no chat has open."""

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
    from clients.cli.circles import HELP as CIRCLES_HELP
    from clients.cli.circles import VERBS as CIRCLES_VERBS
    from clients.cli.listing import HELP as LISTS_HELP
    from clients.cli.listing import VERBS as LIST_VERBS
    from clients.cli.once import show
    from clients.cli.posting import HELP, VERBS
    from clients.cli.ranking import HELP as RANKING_HELP
    from clients.cli.ranking import VERBS as RANKING_VERBS

    if verb == "help":
        helps = (HELP, LISTS_HELP, RANKING_HELP, CIRCLES_HELP)
        print("\n".join(helps).replace("[bold]/", "").replace("[/]", ""))
        return 0
    verb = "lists" if verb == "list" else verb  # a chat has another /list
    known = (*VERBS, *LIST_VERBS, *RANKING_VERBS, *CIRCLES_VERBS)
    if verb not in known:
        print(f"chappe feed: `{verb}` is none of {', '.join(known)}", file=sys.stderr)
        return EXIT_REFUSED
    with opened("feed", data, key_file, passphrase_file) as vault:
        return show("feed", url, partial(_run, url, vault, verb, list(words)), "`chappe feed help`")


async def _run(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
    from clients.cli.circles import CircleVerbs
    from clients.cli.listing import ListVerbs
    from clients.cli.once import Verbs, act
    from clients.cli.posting import Posting
    from clients.cli.ranking import RankVerbs
    from clients.cli.room import Room

    def verbs_of(room: Room) -> Verbs:
        posting = Posting(room)
        ranking = RankVerbs(room, posting)
        more = ListVerbs(room, posting).verbs | CircleVerbs(room, posting, ranking).verbs
        return posting.verbs | ranking.verbs | more

    return await act(url, vault, verbs_of, verb, words, offline=(verb, words[:1]) == ("ranked", ["local"]))
