"""Verbs about games, for both faces of ``chappe chat``: a verb takes words and gives lines to show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from clients.cli.giving import sure
from clients.cli.room import NotFound, Room, clean, short
from clients.client import Client
from clients.events import Received
from clients.games import GameError, Games, Record, State
from clients.games.boards import board, status
from clients.games.following import Position
from clients.games.notation import action_of, moves_of_pgn, moves_of_sgf, pgn, sgf, shown, uci
from protocol.errors import RemoteProtocolError
from protocol.messages import Body, parse
from protocol.messages import game as G
from protocol.rules.games import GAMES
from protocol.wagers import Wager

HELP: Final = """\
[bold]/play[/] GAME NAME [CLOCK] [rated] [stake AMOUNT CURRENCY]   offer a game (chess, go, …; 300+3, 600+5x30, 3d)
[bold]/seek[/] GAME [CLOCK] [rated]   have the referee find somebody of about your strength; /seek off
[bold]/games[/]  [bold]/accept-game[/] [GAME]  [bold]/decline-game[/] [GAME]   what there is; take an offer, or do not
[bold]/move[/] MOVE  [bold]/board[/]  [bold]/moves[/]   play; look; what is legal
[bold]/resign[/]  [bold]/draw[/]  [bold]/refuse[/]  [bold]/claim-draw[/] [MOVE]   give up, agree, do not, claim it
[bold]/takeback[/]  [bold]/abort[/]  [bold]/rematch[/]
[bold]/game[/] show|use|save|pgn|sgf|fen|uci|watch|unwatch|replay …   another game, files, somebody else's match"""
_DIGITS_MIN: Final = 4
_STAKE: Final = "stake"
_LIVE: Final = (State.OFFERED, State.INVITED, State.ACCEPTED, State.PLAYING)


class Gaming:
    """Verbs, by name. Most are about the game *in hand*: the one named last, else the one that was played last."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._client: Client = room.client
        self._in_hand = b""
        self.offered = b""  # the match that was offered last
        act = {"resign": "resign", "draw": "draw", "refuse": "refuse", "takeback": "takeback", "abort": "abort"}
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            "play": self._play, "seek": self._seek, "games": self._list,
            "accept-game": self._accept, "decline-game": self._decline,
            "move": self._move, "board": self._board, "moves": self._moves, "claim-draw": self._claim,
            "rematch": self._rematch, "game": self._game, **{verb: self._acting(name) for verb, name in act.items()},
        }  # fmt: skip

    @property
    def _games(self) -> Games:
        return self._client.games

    # -- finding -------------------------------------------------------------------------------------------------------
    def _find(self, digits: str, *states: State) -> Record:
        """A match by its first digits; without them the only one (or the last one) in those states."""
        known = [record for record in self._games.matches if not states or record.state in states]
        if digits:
            found = [r for r in known if len(digits) >= _DIGITS_MIN and r.match.hex().startswith(digits)]
            if len(found) != 1:
                raise NotFound(f"{len(found)} games begin with {digits!r}; /games shows them")
            return found[0]
        if not known:
            raise NotFound("there is no such game; /games shows all, /play GAME NAME offers one")
        return known[-1]

    def hand(self) -> Record:
        """The game in hand. Raises ``NotFound``."""
        known = self._games.book.records.get(self._in_hand)
        if known is not None and known.state in (State.PLAYING, State.OVER):
            newer = [r for r in self._games.matches if r.state == State.PLAYING]
            return newer[-1] if known.state == State.OVER and newer else known
        return self._find("", State.PLAYING, State.OVER)

    def names(self, record: Record) -> list[str]:
        """Players by seat."""
        return [clean(self._room.name_of(account)) for account in record.players]

    # -- agreeing ------------------------------------------------------------------------------------------------------
    async def _play(self, words: list[str]) -> list[str]:
        words, is_sure = sure(words)
        game, name, *more = words[0], words[1].removeprefix("@"), *words[2:]
        wager, more = self._wager(more)
        rated = "rated" in more
        clock = next((word for word in more if word != "rated"), "none")
        if game not in GAMES:
            raise NotFound(f"there is no game {game!r}; there are {', '.join(sorted(GAMES))}")
        if wager is not None and not is_sure:
            raise GameError(f"{self._at_stake(wager)} To offer it: /play {' '.join(words)} yes")
        other = await self._account(name)
        self._in_hand = self.offered = await self._games.offer(game, other, clock=clock, rated=rated, wager=wager)
        return [f"{game} is offered to {name}: {short(self.offered)}"]

    def _wager(self, words: list[str]) -> tuple[Wager | None, list[str]]:
        """The stake among the words, and the other words."""
        if _STAKE not in words:
            return None, words
        at = words.index(_STAKE)
        return self._client.staking.wager(words[at + 1], words[at + 2]), words[:at] + words[at + 3 :]

    def _at_stake(self, wager: Wager) -> str:
        put = self._client.staking.shown(wager)
        return f"when it begins, {put} of yours are held; the winner gets all, a draw or no game gives them back."

    async def _seek(self, words: list[str]) -> list[str]:
        if words[0] == "off":
            await self._games.seek_no_more()
            return ["seeking nobody any more"]
        clock = next((word for word in words[1:] if word != "rated"), "none")
        self._in_hand = await self._games.seek(words[0], clock=clock, rated="rated" in words[1:])
        return self.show(self.hand())

    async def _account(self, name: str) -> bytes:
        try:
            return self._room.account_of(name)
        except NotFound:
            return (await self._room.add(name))[0]

    async def _accept(self, words: list[str]) -> list[str]:
        words, is_sure = sure(words)
        record = self._find("".join(words[:1]), State.INVITED)
        if record.wager is not None:
            if not is_sure:
                text = self._at_stake(record.wager)
                raise GameError(f"{text} To agree: /accept-game {short(record.match)} yes")
            self._client.staking.check(record.wager)
        await self._games.accept(record.match, wager=record.wager)
        self._in_hand = record.match
        await self._games.started(record.match)
        return self.show(record)

    async def _decline(self, words: list[str]) -> list[str]:
        record = self._find("".join(words[:1]), State.INVITED, State.OFFERED)
        await self._games.decline(record.match)
        return [f"{record.game} {short(record.match)} is off"]

    async def _rematch(self, words: list[str]) -> list[str]:
        await self._games.rematch(self.hand().match)
        return ["asked for one more; it begins when all want it"]

    # -- playing -------------------------------------------------------------------------------------------------------
    async def _move(self, words: list[str]) -> list[str]:
        record = self.hand()
        self._in_hand = record.match
        position = self._games.position(record.match)
        counts = await self._games.move(record.match, action_of(position, " ".join(words) or words[0]))
        return self.show(record) if counts else ["on its way to the referee"]

    def _acting(self, name: str) -> Callable[[list[str]], Awaitable[list[str]]]:
        async def act(words: list[str]) -> list[str]:
            record = self.hand()
            counts = await getattr(self._games, name)(record.match)
            return self.show(record) if counts else ["on its way to the referee"]

        return act

    async def _claim(self, words: list[str]) -> list[str]:
        record = self.hand()
        action = action_of(self._games.position(record.match), " ".join(words)) if words else ""
        await self._games.claim(record.match, action)
        return self.show(record)

    # -- looking -------------------------------------------------------------------------------------------------------
    def show(self, record: Record) -> list[str]:
        """A match: its board, and one line about it."""
        if record.state == State.WATCHING:
            return self._watched(record)
        if not record.genesis:
            return [f"{record.game} {short(record.match)} is {record.state}"]
        position = self._games.position(record.match)
        lines = [clean(line) for line in board(position)]
        alarm = [f"DO NOT TRUST this referee: {clean(record.alarm)}"] if record.alarm else []
        audit = [f"audit: {clean(record.audit)}"] if record.audit else []
        refused = [clean(record.refused)] if record.refused else []
        return [*alarm, *lines, clean(status(position, self.names(record))), *self._stake(record), *refused, *audit]

    def _stake(self, record: Record) -> list[str]:
        if record.wager is None:
            return []
        return [clean(f"stake: {self._client.staking.shown(record.wager)} each, {record.stake_state or 'not yours'}")]

    def _watched(self, record: Record) -> list[str]:
        seen = self._games.book.shown.get(record.match)
        if seen is None:
            return ["spectators see what happened some seconds ago; nothing yet"]
        return [clean(line) for line in board(Position(seen.game, -1, seen.seen, (), (), seen.ply, ()))]

    async def _board(self, words: list[str]) -> list[str]:
        return self.show(self.hand())

    async def _moves(self, words: list[str]) -> list[str]:
        position = self._games.position(self.hand().match)
        legal = [clean(shown(position, action)) for action in position.legal]
        return ["  ".join(legal)] if legal else ["it is not your turn"]

    async def _list(self, words: list[str]) -> list[str]:
        records = self._games.matches[-20:]
        return [self._line(record) for record in records] or ["no games; /play GAME NAME offers one"]

    def _line(self, record: Record) -> str:
        who = ", ".join(self.names(record)) or "?"
        result = f" {'-'.join(map(str, record.points)) or '-'} {clean(record.reason)}" if record.reason else ""
        hand = "→" if record.match == self._in_hand else " "
        return (
            f"{hand} {short(record.match)}  {clean(record.game)} ({clean(record.clock)})  {who}  {record.state}{result}"
        )

    # -- the rest ------------------------------------------------------------------------------------------------------
    async def _game(self, words: list[str]) -> list[str]:
        """Sub-verbs that are wanted seldom."""
        verb, rest = words[0], words[1:]
        if verb in ("watch", "unwatch"):
            await self._games.watch(bytes.fromhex(rest[0]), on=verb == "watch")
            return ["you will see it some seconds late" if verb == "watch" else "you see it no more"]
        if verb == "replay":
            return await self._replay(" ".join(rest) or rest[0])
        record = self._find(rest[0]) if rest and verb in ("show", "use") else self.hand()
        if verb in ("show", "use"):
            self._in_hand = record.match
            return self.show(record)
        following = self._games.book.follow(record)
        if verb == "save":
            _write(" ".join(rest) or rest[0], self._games.transcript(record.match))
            return ["saved; `chappe game verify` checks it"]
        if verb in ("pgn", "sgf"):
            own = self._client.engine.shelf.identity.handle or short(self._client.account)
            write = pgn if verb == "pgn" else sgf
            text = write(following, [own if name == "me" else name for name in self.names(record)])
            if rest:
                _write(" ".join(rest), text.encode())
            return [clean(line) for line in text.splitlines()]
        if verb == "uci":
            return [uci(following)]
        if verb == "fen":
            uci(following)  # for chess only
            return [clean(self._games.position(record.match).seen.decode())]
        raise GameError(f"/game show, use, save, pgn, sgf, fen, uci, watch, unwatch or replay, not {verb!r}")

    async def _replay(self, path: str) -> list[str]:
        """Play the next move of a PGN or SGF file that the match has followed so far."""
        record = self.hand()
        read = moves_of_sgf if record.game == "go" else moves_of_pgn
        wanted = read(_text(path))
        following = self._games.book.follow(record)
        match = following.match
        if match is None or match.moves >= len(wanted):
            raise GameError("that game has no further move")
        return await self._move([wanted[match.moves]])

    # -- what comes ----------------------------------------------------------------------------------------------------
    def sentence(self, event: Received) -> str | None:
        """What to show for a message about a game; None: nothing."""
        try:
            body = parse(event.content).body
        except RemoteProtocolError:
            return None
        record = self._games.book.records.get(getattr(body, "match", b""))
        if record is None or not isinstance(body, Body):
            return None
        if isinstance(body, G.Open) and record.state == State.INVITED:
            who = clean(self._room.name_of(event.account)) if event.account != record.referee else "one more:"
            what = f"{clean(record.game)}{'' if record.clock == 'none' else f' ({clean(record.clock)})'}"
            if record.wager is not None:
                what += f" for {clean(self._client.staking.shown(record.wager))} each"
            digits = short(record.match)
            return f"{who} offers {what}: /accept-game {digits} takes it, /decline-game {digits} does not"
        if isinstance(body, G.Entry) and body.ply == record.plies - 1:
            return self._news(record)
        if isinstance(body, G.Shown):
            return "\n".join(self._watched(record))
        if isinstance(body, G.Result | G.Closed):
            return f"{clean(record.game)} {short(record.match)}: {clean(body.reason)}"
        return None

    def _news(self, record: Record) -> str | None:
        """A move that makes it our turn, or something that is asked of us."""
        position = self._games.position(record.match)
        asked = {position.draw_by, position.takeback_by} - {None, record.seat}
        if record.seat not in position.turn and not asked:
            return None
        return "\n".join(["", *self.show(record)])


def _text(path: str) -> str:
    """Raises ``ValueError``."""
    try:
        return Path(path).expanduser().read_text()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def _write(path: str, data: bytes) -> None:
    """Raises ``ValueError``."""
    try:
        Path(path).expanduser().write_bytes(data)
    except OSError as error:
        raise ValueError(f"the file cannot be written: {error}") from None
