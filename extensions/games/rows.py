"""Tables as rows of the worker's database: one of a match, one of each entry, and what spectators will be shown.

A table is rebuilt by replaying its entries (``Referee.restore``), so nothing that the log says is stored twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from extensions.games.pairing import Seeker
from extensions.games.table import Phase, Player, Table, Terms, Wish
from protocol.codec import decode_struct, encode_struct
from protocol.rules.base import Value
from protocol.rules.clocks import Spec
from protocol.transcript import Entry, Signed
from protocol.wagers import Wager

TABLES: Final = """
CREATE TABLE IF NOT EXISTS matches (match BLOB PRIMARY KEY, phase INTEGER NOT NULL, facts BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS matches_phase ON matches (phase);
CREATE TABLE IF NOT EXISTS entries (
    match BLOB NOT NULL, ply INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY (match, ply)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shows (
    match BLOB NOT NULL, ply INTEGER NOT NULL, at_ms INTEGER NOT NULL, seen BLOB NOT NULL, PRIMARY KEY (match, ply)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watchers (match BLOB NOT NULL, account BLOB NOT NULL, PRIMARY KEY (match, account))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seeks (account BLOB PRIMARY KEY, facts BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS colours (
    account BLOB NOT NULL, pool TEXT NOT NULL, balance INTEGER NOT NULL, PRIMARY KEY (account, pool)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ratings (
    account BLOB NOT NULL, pool TEXT NOT NULL, rating REAL NOT NULL, deviation REAL NOT NULL, volatility REAL NOT NULL,
    games INTEGER NOT NULL, PRIMARY KEY (account, pool)
) WITHOUT ROWID
"""
LIVE: Final = f"SELECT facts FROM matches WHERE phase IN ({Phase.OFFERED.value}, {Phase.PLAYING.value})"
ONE: Final = "SELECT facts FROM matches WHERE match = ?"
ENTRIES: Final = "SELECT entry FROM entries WHERE match = ? AND ply >= ? ORDER BY ply LIMIT ?"
RATING: Final = "SELECT rating, deviation, volatility, games FROM ratings WHERE account = ? AND pool = ?"
BALANCE: Final = "SELECT balance FROM colours WHERE account = ? AND pool = ?"
ALL_SEEKS: Final = "SELECT facts FROM seeks"
ALL_SHOWS: Final = "SELECT match, ply, at_ms, seen FROM shows ORDER BY match, ply"
ALL_WATCHERS: Final = "SELECT match, account FROM watchers"
_PUT: Final = "INSERT OR REPLACE INTO matches VALUES (?, ?, ?)"
_PUT_ENTRY: Final = "INSERT INTO entries VALUES (?, ?, ?)"
_PUT_RATING: Final = "INSERT OR REPLACE INTO ratings VALUES (?, ?, ?, ?, ?, ?)"


class _Sitter(msgspec.Struct, frozen=True, array_like=True):
    account: bytes
    devices: tuple[bytes, ...]
    entropy: bytes


class _Seek(msgspec.Struct, frozen=True, array_like=True):
    player: _Sitter
    game: str
    params: tuple[tuple[str, Value], ...]
    clock: Spec
    rated: bool
    rating: float
    balance: int
    since_ms: int


class _Facts(msgspec.Struct, frozen=True, array_like=True):
    match: bytes
    phase: int
    game: str
    params: tuple[tuple[str, Value], ...]
    seats: int
    clock: Spec
    rated: bool
    wish: int
    invited: tuple[bytes, ...]
    life_ms: int
    players: tuple[_Sitter, ...]
    opened_ms: int
    seed: bytes
    genesis: Signed | None
    again: tuple[_Sitter, ...]
    rematch_of: bytes
    gone: tuple[int | None, ...]
    fresh: bytes
    wager: Wager | None = None


def _sitters(players: Iterable[Player]) -> tuple[_Sitter, ...]:
    return tuple(_Sitter(player.account, player.devices, player.entropy) for player in players)


def _players(sitters: Iterable[_Sitter]) -> tuple[Player, ...]:
    return tuple(Player(one.account, one.devices, one.entropy) for one in sitters)


def packed(table: Table) -> bytes:
    """A table as a row keeps it: all but the log."""
    terms = table.terms
    facts = _Facts(
        table.match, table.phase.value, terms.game, terms.params, terms.seats, terms.clock, terms.rated,
        terms.wish.value, terms.invited, terms.life_ms, _sitters(table.players), table.opened_ms, table.seed,
        table.genesis, _sitters(table.again), table.rematch_of, table.gone, table.fresh,
        terms.wager,
    )  # fmt: skip
    return encode_struct(facts)


def unpacked(row: bytes) -> Table:
    """The table of a row, without its log."""
    facts = decode_struct(row, _Facts)
    terms = Terms(
        facts.game, facts.params, facts.seats, facts.clock, facts.rated, Wish(facts.wish), facts.invited, facts.life_ms,
        facts.wager,
    )  # fmt: skip
    return Table(
        facts.match, terms, _players(facts.players), facts.opened_ms, facts.seed, Phase(facts.phase), facts.genesis,
        again=_players(facts.again), rematch_of=facts.rematch_of, gone=facts.gone,
        fresh=facts.fresh,
    )  # fmt: skip


def packed_seek(seeker: Seeker) -> bytes:
    """Somebody who seeks, as a row keeps it."""
    (player,), terms = _sitters([seeker.player]), seeker.terms
    row = _Seek(
        player, terms.game, terms.params, terms.clock, terms.rated, seeker.rating, seeker.balance, seeker.since_ms
    )  # fmt: skip
    return encode_struct(row)


def seek_of(row: bytes) -> Seeker:
    """The seeker of a row."""
    facts = decode_struct(row, _Seek)
    (player,) = _players([facts.player])
    terms = Terms(facts.game, facts.params, 2, facts.clock, facts.rated)
    return Seeker(player, terms, facts.rating, facts.balance, facts.since_ms)


def entry_of(row: bytes) -> Entry:
    """An entry of the log."""
    return decode_struct(row, Entry)


def put_tables(db: sqlite3.Connection, tables: Iterable[Table]) -> None:
    """Write tables as they are now."""
    db.executemany(_PUT, [(table.match, table.phase.value, packed(table)) for table in tables])


def put_entries(db: sqlite3.Connection, entries: Iterable[tuple[bytes, int, bytes]]) -> None:
    """Append entries: (match, ply, packed). A place that is taken raises ``sqlite3.IntegrityError``."""
    db.executemany(_PUT_ENTRY, list(entries))


def put_seek(db: sqlite3.Connection, account: bytes, seeker: Seeker | None) -> None:
    """Write who seeks; None: no more."""
    if seeker is None:
        db.execute("DELETE FROM seeks WHERE account = ?", (account,))
    else:
        db.execute("INSERT OR REPLACE INTO seeks VALUES (?, ?)", (account, packed_seek(seeker)))


def put_colour(db: sqlite3.Connection, account: bytes, pool: str, step: int) -> None:
    """Somebody has sat first (1) or last (−1) once more."""
    sql = "INSERT INTO colours VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance"
    db.execute(sql, (account, pool, step))


def put_rating(db: sqlite3.Connection, row: tuple[bytes, str, float, float, float, int]) -> None:
    """Write a rating."""
    db.execute(_PUT_RATING, row)


def as_left(table: Table, row: Table) -> Table:
    """A table that was replayed from its log, with what only its row says: who is away, whether it is closed."""
    return replace(table, gone=row.gone, phase=row.phase if row.phase is Phase.CLOSED else table.phase)
