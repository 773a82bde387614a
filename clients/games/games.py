"""What an application does with games: ``client.games``.

::

    match = await client.games.offer("chess", bob, clock="300+3")
    await client.games.started(match)
    await client.games.move(match, "e2e4")
    print(client.games.position(match).seen)

Whatever is said in a match is signed, kept and on its way in one vault transaction; what the referee answers is checked
before it is believed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from clients.engine import Engine
from clients.games.book import Book
from clients.games.following import Position
from clients.games.records import STAKE_ASKED, STAKE_HELD, Offer, Record, Seeking, State
from protocol import limits as L
from protocol.errors import ChappeError
from protocol.messages import Body
from protocol.messages import game as G
from protocol.plies import Kind
from protocol.rules.base import AnyRules, RulesError, Value, checked
from protocol.rules.clocks import parse_spec
from protocol.rules.deals import move_commitment
from protocol.rules.games import GAMES
from protocol.wagers import Wager

ANSWER_S: Final = 20.0  # to hear from the referee; later its answer counts all the same
HANDLE: Final = "games"  # the referee, unless somebody names another one


class GameError(ChappeError):
    """Something cannot be done in this match; the text says what to do."""


class Games:
    """See the module. ``pair`` founds or finds a conversation, ``find`` an account by handle."""

    def __init__(
        self, engine: Engine, pair: Callable[[bytes], Awaitable[bytes]], find: Callable[[str], Awaitable[bytes]]
    ) -> None:  # fmt: skip
        self.book = Book(engine)
        self._engine = engine
        self._pair = pair
        self._find = find
        self._news = trio.Event()
        self.version = 0  # goes up whenever something has changed
        self.book.changed = self._wake

    def _wake(self) -> None:
        self.version += 1
        self._news.set()
        self._news = trio.Event()

    # -- looking -------------------------------------------------------------------------------------------------------
    @property
    def matches(self) -> list[Record]:
        """All matches that this device knows of, oldest first."""
        return sorted(self.book.records.values(), key=lambda record: (record.made_ms, record.match))

    def record(self, match: bytes) -> Record:
        """A match. Raises ``GameError``."""
        found = self.book.records.get(match)
        if found is None:
            raise GameError(f"no match is called {match.hex()[:8]}; /games shows them")
        return found

    def position(self, match: bytes) -> Position:
        """How a match stands. Raises ``GameError`` before it has begun."""
        return self.book.follow(self._begun(match)).position(self._engine.shelf.clock_ms())

    def transcript(self, match: bytes) -> bytes:
        """Its file, for ``chappe game verify``. Raises ``GameError``."""
        return self.book.follow(self._begun(match)).transcript()

    def _begun(self, match: bytes) -> Record:
        record = self.record(match)
        if not record.genesis:
            raise GameError("this match has not begun")
        return record

    async def changed(self, since: int | None = None) -> None:
        """Wait until something has changed in a match, from now on or since a ``version``."""
        if since in (None, self.version):
            await self._news.wait()

    async def until(self, condition: Callable[[], object], timeout_s: float = ANSWER_S) -> bool:
        """Wait until something holds, at most so long; whether it does."""
        with trio.move_on_after(timeout_s):
            while not condition():
                await self._news.wait()
        return bool(condition())

    # -- agreeing ------------------------------------------------------------------------------------------------------
    async def offer(
        self, game: str, other: bytes | None = None, *, talk: bytes | None = None, clock: str = "none",
        params: Mapping[str, Value] | None = None, seats: int = 2, rated: bool = False, wish: int = 0,
        referee: bytes | None = None, wager: Wager | None = None, timeout_s: float = ANSWER_S,
    ) -> bytes:  # fmt: skip
        """Offer a match to somebody, or (``talk``) to whoever of a conversation comes first; its name.

        Neither: whoever learns its name may come. ``wish``: 1 the first seat (white), 2 the last, 0 any. ``wager``:
        what each puts in when it begins (``client.staking.wager``). Raises ``GameError``: it cannot be, the referee
        refuses it, or does not answer.
        """
        given = dict(params or {})
        try:
            parse_spec(clock)
            if game in GAMES:
                checked(GAMES[game], given, seats)
        except RulesError as error:
            raise GameError(str(error)) from None
        judge = referee or await self._find(HANDLE)
        topic = await self._pair(judge)
        tell = talk or (b"" if other is None else await self._pair(other))
        shelf = self._engine.shelf
        entropy = shelf.entropy(L.KEY_BYTES)
        body = G.Offer(
            game=game, params=tuple(given.items()), seats=seats, clock=clock, rated=rated, wish=wish,
            invited=() if other is None else (other,), devices=self.book.devices(), entropy=entropy,
            wager=wager,
        )  # fmt: skip
        id_ = self._say(topic, body)
        offer = Offer(id_, judge, tell, entropy, wager=wager)
        self.book.save_offer(offer)
        await shelf.journal.flushed()
        if not await self.until(lambda: offer.match or offer.refused, timeout_s):
            raise GameError("the referee does not answer; what you offered is on its way to it")
        if offer.refused:
            raise GameError(f"the referee refuses it: {offer.refused}")
        return offer.match

    async def seek(
        self, game: str, *, clock: str = "none", params: Mapping[str, Value] | None = None, rated: bool = False,
        referee: bytes | None = None, timeout_s: float = ANSWER_S,
    ) -> bytes:  # fmt: skip
        """Have the referee find somebody of about our strength; the match that has begun with them.

        It goes on seeking after ``timeout_s``. Raises ``GameError``: it is refused, or nobody has come yet.
        """
        given = tuple((params or {}).items())
        judge = referee or await self._find(HANDLE)
        topic = await self._pair(judge)
        entropy = self._engine.shelf.entropy(L.KEY_BYTES)
        seeking = Seeking(judge, game, given, clock, rated, entropy)
        before = set(self.book.records)
        self.book.save_seek(judge, seeking)
        body = G.Seek(
            game=game, params=given, clock=clock, rated=rated, devices=self.book.devices(), entropy=entropy
        )  # fmt: skip
        self._say(topic, body)
        await self._engine.shelf.journal.flushed()

        def found() -> bytes | None:
            new = (self.book.records[match] for match in self.book.records.keys() - before)
            return next((r.match for r in new if r.referee == judge and r.game == game and r.genesis), None)

        await self.until(lambda: found() or seeking.refused, timeout_s)
        if seeking.refused:
            self.book.save_seek(judge, None)
            raise GameError(f"the referee refuses it: {seeking.refused}")
        match = found()
        if match is None:
            raise GameError("nobody yet; the referee goes on seeking, and the game begins when somebody is found")
        return match

    async def seek_no_more(self, referee: bytes | None = None) -> None:
        """Seek nobody any more."""
        judge = referee or await self._find(HANDLE)
        topic = await self._pair(judge)
        self.book.save_seek(judge, None)
        entropy = self._engine.shelf.entropy(L.KEY_BYTES)
        self._say(topic, G.Seek(game="none", clock="none", off=True, devices=self.book.devices(), entropy=entropy))
        await self._engine.shelf.journal.flushed()

    async def accept(self, match: bytes, *, wager: Wager | None = None) -> None:
        """Take an offer; ``wager``: the stake that it names, to which we agree. Raises ``GameError``."""
        record = self.record(match)
        if record.state != State.INVITED:
            raise GameError(f"this match is {record.state}: there is nothing to accept")
        if record.wager != wager:
            raise GameError("a match is accepted with the stake that it is for, or with none if it is for none")
        await self._pair(record.referee)
        record.consent = wager is not None
        record.entropy = self._engine.shelf.entropy(L.KEY_BYTES)
        record.state = State.ACCEPTED
        self.book.save(record)
        if record.rematch_of:
            body: Body = G.Rematch(record.rematch_of, self.book.devices(), record.entropy)
        else:
            body = G.Accept(match, self.book.devices(), record.entropy)
        self._say(record.topic, body)
        await self._engine.shelf.journal.flushed()

    async def decline(self, match: bytes) -> None:
        """Refuse an offer, or take our own back. Raises ``GameError``."""
        record = self.record(match)
        if record.state not in (State.INVITED, State.OFFERED):
            raise GameError(f"this match is {record.state}: resign, or abort it")
        await self._pair(record.referee)
        self._say(record.topic, G.Decline(match))
        record.state, record.reason = State.CLOSED, "declined"
        self.book.save(record)
        await self._engine.shelf.journal.flushed()

    async def rematch(self, match: bytes) -> None:
        """Ask for one more, everybody one seat further; or agree, if somebody has asked. Raises ``GameError``."""
        record = self.record(match)
        if record.state != State.OVER:
            raise GameError("a rematch comes after the end")
        asked = [r for r in self.matches if r.rematch_of == match and r.state == State.INVITED]
        if asked:
            await self.accept(asked[0].match)
            return
        record.entropy = self._engine.shelf.entropy(L.KEY_BYTES)
        self.book.save(record)
        self._say(record.topic, G.Rematch(match, self.book.devices(), record.entropy))
        await self._engine.shelf.journal.flushed()

    async def started(self, match: bytes, timeout_s: float = ANSWER_S) -> bool:
        """Wait until a match has begun; whether it has."""
        return await self.until(lambda: self.record(match).genesis, timeout_s)

    # -- playing -------------------------------------------------------------------------------------------------------
    async def move(self, match: bytes, action: str, *, draw: bool = False, timeout_s: float = ANSWER_S) -> bool:
        """Play an action of the rules; whether the referee has countersigned it by now (else it still may).

        Raises ``GameError`` for a move that is not legal here, which is not sent; and if the referee refuses it.
        """
        record = self._playing(match)
        position = self.position(match)
        rules = GAMES.get(record.game)
        if record.consent and record.stake_state != STAKE_HELD:
            why = record.stake_state if record.stake_state not in ("", STAKE_ASKED) else "the other one may still come"
            raise GameError(f"the stakes are not held yet ({why}): move when they are, or /abort")
        if position.is_open and record.seat not in position.turn:
            raise GameError("it is not your turn")
        if position.legal and action not in position.legal:
            raise GameError(f"{action!r} is not legal here; /moves shows what is")
        if rules is not None and len(position.turn) > 1:
            return await self._commit(record, rules, action, timeout_s)
        return await self._act(record, Kind.MOVE, action, draw=draw, timeout_s=timeout_s)

    async def _commit(self, record: Record, rules: AnyRules, action: str, timeout_s: float) -> bool:
        """Commit to a move; it is revealed when all have committed."""
        following = self.book.follow(record)
        assert following.match is not None
        if record.shape or following.match.commits[record.seat]:
            raise GameError("you have chosen already; it is shown when all have")
        salt = self._engine.shelf.entropy(L.GAME_SALT_BYTES)
        record.shape = f"{action} {salt.hex()}"
        digest = move_commitment(record.match, record.seat, following.match.moves, action, salt)
        return await self._act(record, Kind.COMMIT, digest.hex(), timeout_s=timeout_s)

    async def resign(self, match: bytes, *, timeout_s: float = ANSWER_S) -> bool:
        """Give up."""
        return await self._act(self._playing(match), Kind.RESIGN, timeout_s=timeout_s)

    async def draw(self, match: bytes, *, timeout_s: float = ANSWER_S) -> bool:
        """Offer a draw, or accept the one that is offered."""
        return await self._act(self._playing(match), Kind.DRAW, timeout_s=timeout_s)

    async def refuse(self, match: bytes, *, timeout_s: float = ANSWER_S) -> bool:
        """Refuse the draw or the take-back that is asked for."""
        return await self._act(self._playing(match), Kind.DECLINE, timeout_s=timeout_s)

    async def claim(self, match: bytes, action: str = "", *, timeout_s: float = ANSWER_S) -> bool:
        """Claim a draw by the rules, with the move that completes it."""
        return await self._act(self._playing(match), Kind.CLAIM, action, timeout_s=timeout_s)

    async def takeback(self, match: bytes, *, timeout_s: float = ANSWER_S) -> bool:
        """Ask to take our last move back, or grant it."""
        return await self._act(self._playing(match), Kind.TAKEBACK, timeout_s=timeout_s)

    async def abort(self, match: bytes, *, timeout_s: float = ANSWER_S) -> bool:
        """No game: before everybody has moved."""
        return await self._act(self._playing(match), Kind.ABORT, timeout_s=timeout_s)

    def _playing(self, match: bytes) -> Record:
        record = self.record(match)
        if record.state != State.PLAYING:
            raise GameError(f"this match is {record.state}{f' ({record.reason})' if record.reason else ''}")
        if record.alarm:
            raise GameError(f"this referee was caught: {record.alarm}")
        return record

    async def _act(
        self, record: Record, kind: Kind, action: str = "", *, draw: bool = False, timeout_s: float
    ) -> bool:  # fmt: skip
        if record.said is not None:
            raise GameError("what you said before is still on its way to the referee")
        if not self.book.sign_and_say(record, kind, action, draw=draw):
            raise GameError("the conversation with the referee is over")
        await self._engine.shelf.journal.flushed()
        await self.until(lambda: record.said is None or record.state != State.PLAYING, timeout_s)
        if record.refused:
            raise GameError(record.refused)
        return record.said is None

    # -- watching ------------------------------------------------------------------------------------------------------
    async def watch(self, match: bytes, referee: bytes | None = None, *, on: bool = True) -> None:
        """See what everybody may see of somebody else's match, late; or no more. Raises ``GameError``."""
        judge = referee or await self._find(HANDLE)
        topic = await self._pair(judge)
        known = self.book.records.get(match)
        if known is not None and known.genesis:
            raise GameError("you play in that match")
        if known is None or known.state != State.WATCHING:
            made_ms = self._engine.shelf.clock_ms()
            self.book.save(Record(match, judge, topic, State.WATCHING, "?", made_ms=made_ms))
        if not on:
            self.book.records[match].state = State.CLOSED
            self.book.save(self.book.records[match])
        self._say(topic, G.Watch(match, not on))
        await self._engine.shelf.journal.flushed()

    def _say(self, topic: bytes, body: Body) -> bytes:
        id_ = self.book.say(topic, body)
        if id_ is None:
            raise GameError("the conversation with the referee is over")
        return id_
