"""``chappe play``: one game in the terminal, with clocks that tick."""

from __future__ import annotations

import sys
from collections.abc import Callable
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
    import trio

    from clients.cli.gaming import Gaming
    from clients.client import Client
    from clients.games import Record
    from clients.vault import Vault

command = cyclopts.App(name="play", help="Play a game with somebody: chess, connectfour, backgammon, eights, …")
TICK_S = 1.0
WAIT_S = 600.0  # for the other one to come
_VERBS = ("resign", "draw", "refuse", "claim-draw", "takeback", "abort", "rematch", "moves", "board", "game")
Say = Callable[[str], None]
ReadLine = Callable[[], str]


@command.default
def play(
    game: Annotated[str, Parameter(help="Which game; `accept` takes what somebody has offered you.")],
    other: Annotated[str, Parameter(help="With whom: a contact's name, or a handle (@bob).")] = "",
    *,
    clock: Annotated[str, Parameter(help="none, 300+3, bronstein 300+3, 600+5x30 (byo-yomi), 3d.")] = "none",
    rated: Annotated[bool, Parameter(negative="", help="The result counts for ratings.")] = False,
    url: Url = URL,
    data: Data = DEFAULT_DATA,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
) -> int:
    """Offer a game, or take an offer, and play it: type moves, or /moves, /resign, /draw, …; /quit leaves it be."""
    import trio

    from protocol.errors import ChappeError

    with opened("play", data, key_file, passphrase_file) as vault:
        try:
            trio.run(_run, url, vault, game, other, [clock, *["rated"] * rated])
        except (ChappeError, ValueError) as error:
            print(f"chappe play: {error}", file=sys.stderr)
        except trio.TooSlowError:
            print(f"chappe play: the relay at {url} cannot be reached, or nobody came", file=sys.stderr)
        except IndexError:
            print("chappe play: with whom? chappe play chess @bob", file=sys.stderr)
        else:
            return 0
    return EXIT_REFUSED


async def _run(url: str, vault: Vault, game: str, other: str, terms: list[str]) -> None:
    import trio

    from clients.client import open_client
    from clients.tasks import sole

    try:
        async with open_client(url, vault) as client:
            with trio.fail_after(CONNECT_S):
                await client.wait_connected()
            table = Evening(client, print, sys.stdin.readline, ticks=sys.stdout.isatty())
            with trio.fail_after(WAIT_S):
                await table.sit_down(game, other, terms)
            await table.play()
            with trio.move_on_after(5):
                await client.settled()
    except BaseExceptionGroup as group:
        raise sole(group) from None


class Evening:
    """One game of one person. ``read`` blocks for a line; ``ticks``: the terminal can be written over."""

    def __init__(self, client: Client, say: Say, read: ReadLine, *, ticks: bool = False) -> None:
        from clients.cli.gaming import Gaming
        from clients.cli.room import Room

        self._client = client
        self._say = say
        self._read = read
        self._ticks = ticks
        self._gaming: Gaming = Gaming(Room(client))
        self._match = b""

    @property
    def _record(self) -> Record:
        return self._client.games.record(self._match)

    async def sit_down(self, game: str, other: str, terms: list[str]) -> None:
        """Offer or accept, and wait until it begins. Raises ``GameError``, ``NotFound``, ``IndexError``."""
        from clients.games import GameError, State

        games = self._client.games
        if game == "accept":
            await games.until(lambda: any(r.state == State.INVITED for r in games.matches), WAIT_S)
            await self._gaming.verbs["accept-game"]([other] if other else [])
        else:
            if not other:
                raise IndexError("nobody is named")
            for line in await self._gaming.verbs["play"]([game, other, *terms]):
                self._say(line)
        self._match = games.matches[-1].match if game == "accept" else self._gaming.offered
        await games.until(lambda: self._record.genesis or self._record.state == State.CLOSED, WAIT_S)
        if not self._record.genesis:
            raise GameError(f"no game: {self._record.reason or 'nobody came'}")

    async def play(self) -> None:
        """Until the end of the game, or of the input."""
        import trio

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, nursery.cancel_scope)
            if self._ticks:
                nursery.start_soon(self._tick)
            while True:
                line = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
                if not line or line.strip() in ("/quit", "/q"):
                    nursery.cancel_scope.cancel()
                    return
                if line.strip():
                    await self._line(line.split())

    async def _line(self, words: list[str]) -> None:
        from protocol.errors import ChappeError

        verb = words[0].removeprefix("/")
        try:
            if words[0].startswith("/") and verb in _VERBS:
                lines = await self._gaming.verbs[verb](words[1:])
            else:
                lines = await self._gaming.verbs["move"](words)
        except (ChappeError, ValueError, IndexError) as error:
            lines = [str(error) or "a word is missing"]
        if verb in ("moves", "game", "claim-draw") or len(lines) == 1:
            self._say("\n".join(lines))  # boards are shown as entries come

    async def _follow(self, scope: trio.CancelScope) -> None:
        """Show the board after each entry; end with the game."""
        from clients.games import State

        shown = -1
        while True:
            record = self._record
            if record.plies != shown or record.state != State.PLAYING:
                shown = record.plies
                self._say("\n".join(["", *self._gaming.show(record)]))
            if record.state != State.PLAYING:
                scope.cancel()
                return
            await self._client.games.changed()

    async def _tick(self) -> None:
        """Write the clocks anew above the line on which the person types."""
        import trio

        from clients.games.boards import status

        while True:
            await trio.sleep(TICK_S)
            position = self._client.games.position(self._match)
            if any(left is not None for left in position.clocks_ms):
                line = status(position, self._gaming.names(self._record))
                sys.stdout.write(f"\x1b7\x1b[1A\r{line}\x1b[K\x1b8")
                sys.stdout.flush()
