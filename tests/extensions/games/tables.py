"""A table with two people, and a hand that signs for them."""

from __future__ import annotations

from typing import Any

from extensions.games.referee import Referee
from extensions.games.table import (
    Accept,
    Decision,
    Effect,
    Event,
    Player,
    Refused,
    Said,
    Table,
    Terms,
    Wish,
)
from protocol.identity import SigningKey
from protocol.judging import Verdict, verify
from protocol.plies import Fault, Kind
from protocol.rules.games import GAMES
from protocol.transcript import Entry, Signed, Statement, Transcript, sign
from tests.protocol.playing import KEYS, REFEREE, START_MS, replace_struct

JUDGE = Referee(REFEREE, GAMES, (("chappe", "1"),))


def player(number: int) -> Player:
    return Player(bytes([65 + number]) * 32, (KEYS[number].public,), bytes([97 + number]) * 32)


class Evening:
    """Feeds events to the referee and keeps what comes out."""

    def __init__(self, terms: Terms, fresh: bytes = bytes(range(64))) -> None:
        opened = JUDGE.offer(terms, player(0), START_MS, fresh)
        assert isinstance(opened, Decision), opened
        self.table: Table = opened.table
        self.now_ms = START_MS
        self.log: list[Entry] = []
        self.effects: tuple[Effect, ...] = opened.effects

    def happens(self, event: Event, wait_ms: int = 1000) -> tuple[Effect, ...]:
        from extensions.games.table import Logged

        self.now_ms += wait_ms
        decision = JUDGE.decide(self.table, event, self.now_ms)
        self.table, self.effects = decision.table, decision.effects
        self.log += [effect.entry for effect in self.effects if isinstance(effect, Logged)]
        return self.effects

    def key(self, seat: int) -> SigningKey:
        device = self.table.players[seat].devices[0]
        return next(key for key in KEYS if key.public == device)

    def signed(self, seat: int, kind: int, action: str = "", **changes: Any) -> Signed:
        log = self.table.log
        assert log is not None
        body = Statement(log.match.match, log.match.ply, log.link, kind, seat, action, False, None)
        return sign(replace_struct(body, **changes), self.key(seat))

    def send(self, seat: int, signed: Signed, wait_ms: int = 1000) -> tuple[Effect, ...]:
        return self.happens(Said(self.table.players[seat].account, signed), wait_ms)

    def say(self, seat: int, kind: Kind, action: str = "", wait_ms: int = 1000, **changes: Any) -> tuple[Effect, ...]:
        return self.send(seat, self.signed(seat, kind, action, **changes), wait_ms)

    def moves(self, *actions: str) -> Evening:
        for action in actions:
            log = self.table.log
            assert log is not None
            seat = GAMES[log.genesis.game].turn(log.match.state)[0]
            self.say(seat, Kind.MOVE, action)
            assert not self.faults
        return self

    @property
    def faults(self) -> list[Fault]:
        """What was refused in the last step."""
        return [effect.fault for effect in self.effects if isinstance(effect, Refused)]

    def got(self, kind: type) -> list[Any]:
        """Effects of one kind in the last step."""
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def verdict(self) -> Verdict:
        assert self.table.genesis is not None
        return verify(Transcript("chappe-game", self.table.genesis, tuple(self.log)), GAMES)

    @property
    def reason(self) -> str:
        log = self.table.log
        assert log is not None
        return log.match.outcome.reason if log.match.outcome else ""


def evening(game: str = "tictactoe", **terms: Any) -> Evening:
    """Two people have sat down; who offered sits first."""
    one = Evening(Terms(game, **{"wish": Wish.FIRST, **terms}))
    one.happens(Accept(player(1)))
    return one
