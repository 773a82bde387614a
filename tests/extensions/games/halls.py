"""A hall on a database in memory, and people who say things to the referee by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from extensions.games import rows
from extensions.games.hall import Hall
from extensions.games.round import Asked, Round
from extensions.games.table import Event
from protocol.codec import encode_struct
from protocol.identity import SigningKey
from protocol.messages import Body
from protocol.messages import game as G
from protocol.plies import Kind
from protocol.transcript import Statement, sign
from tests.extensions.games.tables import JUDGE
from tests.protocol.playing import KEYS, START_MS

TYPE_OF = {kind: body for body, kind in G.KIND_OF.items()}


def account(number: int) -> bytes:
    return bytes([65 + number]) * 32


class House:
    """One round a message, each committed and adopted."""

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self.db.executescript(rows.TABLES)
        self.hall = Hall(JUDGE, self.query)
        self.now_ms = START_MS
        self.said: list[tuple[bytes, Body, bytes]] = []
        self._count = 0

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return self.db.execute(sql, values).fetchall()

    def again(self) -> Hall:
        """A hall that has read nothing yet."""
        self.hall = Hall(JUDGE, self.query)
        return self.hall

    def entropy(self, size: int) -> bytes:
        self._count += 1
        return bytes([self._count]) * size

    def round(self) -> Round:
        return Round(self.hall, self.now_ms, self.entropy)

    def commit(self, round_: Round) -> list[tuple[bytes, Body, bytes]]:
        self.db.execute("BEGIN")
        round_.write(self.db)
        self.db.execute("COMMIT")
        round_.adopt()
        self.said = round_.says
        return self.said

    def ask(self, number: int, body: Body, entries: Sequence[bytes] = (), wait_ms: int = 1000) -> list[Body]:
        """Somebody says something; what the referee says to them."""
        self.now_ms += wait_ms
        round_ = self.round()
        round_.take(Asked(account(number), KEYS[number].public, body, b"id"), entries)
        return [said for to, said, _ in self.commit(round_) if to == account(number)]

    def told(self, kind: type[Body]) -> list[tuple[bytes, Any]]:
        """Messages of one type in the last round, with whom they were for."""
        return [(to, said) for to, said, _ in self.said if isinstance(said, kind)]

    def tick(self, wait_ms: int) -> None:
        self.now_ms += wait_ms
        round_ = self.round()
        round_.tick(self.hall.due(self.now_ms))
        self.commit(round_)

    def happens(self, match: bytes, event: Event) -> None:
        round_ = self.round()
        round_.happens(self.hall.tables[match], event)
        self.commit(round_)

    # -- acts ----------------------------------------------------------------------------------------------------------
    def offer(self, number: int = 0, **terms: Any) -> bytes:
        """An offer that stands; its match."""
        values: dict[str, Any] = {
            "game": "tictactoe", "seats": 2, "clock": "300+3", "wish": 1, "devices": (KEYS[number].public,),
            "entropy": bytes([number + 97]) * 32,
        }  # fmt: skip
        (opened,) = self.ask(number, G.Offer(**(values | terms)))
        assert isinstance(opened, G.Open), opened
        return opened.match

    def accept(self, match: bytes, number: int = 1) -> list[Body]:
        return self.ask(number, G.Accept(match, (KEYS[number].public,), bytes([number + 97]) * 32))

    def begin(self, **terms: Any) -> bytes:
        match = self.offer(**terms)
        self.accept(match)
        return match

    def statement(self, match: bytes, seat: int, kind: Kind, action: str = "", key: SigningKey | None = None) -> Body:
        table = self.hall.tables[match]
        assert table.log is not None
        match_ = table.log.match
        body = Statement(match, match_.ply, table.log.link, kind, seat, action)
        device = next(k for k in KEYS if k.public == table.players[seat].devices[0])
        return TYPE_OF[kind](match, encode_struct(sign(body, key or device)))

    def says(self, match: bytes, seat: int, kind: Kind, action: str = "", wait_ms: int = 1000) -> list[Body]:
        player = self.hall.tables[match].players[seat].account
        number = player[0] - 65
        return self.ask(number, self.statement(match, seat, kind, action), wait_ms=wait_ms)

    def moves(self, match: bytes, *actions: str) -> None:
        for at, action in enumerate(actions):
            (entry, *_) = self.says(match, at % 2, Kind.MOVE, action)
            assert isinstance(entry, G.Entry), entry
