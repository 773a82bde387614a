"""One step of the referee: messages and the passing of time, decided on top of the hall; what to write, what to say.

Nothing here waits or writes. Whoever runs a round commits ``write`` and ``says`` in one transaction and then lets the
hall ``adopt`` the tables: checkpoint, then speak.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from extensions.games import bounds as B
from extensions.games import pairing, rows
from extensions.games import table as T
from extensions.games.hall import LIVE, Hall, Show
from extensions.games.pairing import Seeker
from extensions.games.seating import terms_fault
from extensions.games.standings import Standings
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.ids import Entropy
from protocol.messages import Body
from protocol.messages import game as G
from protocol.plies import Fault
from protocol.rules.base import RulesError
from protocol.rules.clocks import Spec, format_spec, parse_spec
from protocol.rules.deals import commitment
from protocol.transcript import Signed, Statement
from protocol.wagers import award

_NO_MATCH: Final = bytes(L.KEY_BYTES)  # in refusals of an offer, which has no name yet
_UNKNOWN: Final = "this referee knows no such match"


class Asked(NamedTuple):
    """A message: who sent it, from which device."""

    account: bytes
    device: bytes
    body: Body
    id: bytes = b""


def milli(value: float) -> int:
    """In thousandths."""
    return round(value * 1000)


@dataclass
class Round:
    """See the module."""

    hall: Hall
    now_ms: int
    entropy: Entropy
    says: list[tuple[bytes, Body, bytes]] = field(default_factory=list)  # account, message, id of what it answers
    tables: dict[bytes, T.Table] = field(default_factory=dict)
    _entries: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    _shows: list[Show] = field(default_factory=list)
    _watch: list[tuple[bytes, bytes, bool]] = field(default_factory=list)
    _seeks: dict[bytes, Seeker | None] = field(default_factory=dict)
    _answers: bytes = b""

    def __post_init__(self) -> None:
        self.standings = Standings(self.hall.query)

    # -- results -------------------------------------------------------------------------------------------------------
    def write(self, db: sqlite3.Connection) -> None:
        """Write what was decided; runs in the worker's transaction."""
        rows.put_tables(db, self.tables.values())
        rows.put_entries(db, self._entries)
        for show in self._shows:
            row = (show.match, show.ply, show.at_ms, show.seen)
            db.execute("INSERT OR REPLACE INTO shows VALUES (?, ?, ?, ?)", row)
        for match, account, on in self._watch:
            sql = "INSERT OR IGNORE INTO watchers VALUES (?, ?)" if on else (
                "DELETE FROM watchers WHERE match = ? AND account = ?"
            )  # fmt: skip
            db.execute(sql, (match, account))
        for account, seeker in self._seeks.items():
            rows.put_seek(db, account, seeker)
        self.standings.write(db)

    def adopt(self) -> None:
        """It is durable: the hall is as this round has left it."""
        self.hall.adopt(self.tables.values())
        for account, seeker in self._seeks.items():
            self.hall.seekers.pop(account, None)
            if seeker is not None:
                self.hall.seekers[account] = seeker
        for match, account, on in self._watch:
            seen_by = self.hall.watchers.setdefault(match, set())
            (seen_by.add if on else seen_by.discard)(account)
            if not seen_by:
                del self.hall.watchers[match]
        for show in self._shows:
            waiting = self.hall.shows.setdefault(show.match, [])
            waiting[:] = [other for other in waiting if other.ply != show.ply]
            waiting.append(show)

    # -- messages ------------------------------------------------------------------------------------------------------
    def take(self, asked: Asked, entries: Sequence[bytes] = ()) -> None:
        """Deal with a message; ``entries`` are those that a ``Fetch`` asks for. Its table must be in the hall."""
        body, self._answers = asked.body, asked.id
        match body:
            case G.Offer():
                self._offer(asked, body)
            case G.Seek():
                self._seek(asked, body)
            case G.Statement():
                self._statement(asked, body)
            case G.Accept():
                self._event(asked, body.match, T.Accept(_player(asked, body)), sits=body)
            case G.Rematch():
                fresh = self.entropy(T.FRESH_BYTES)
                self._event(asked, body.match, T.Again(_player(asked, body), fresh), sits=body)
            case G.Decline():
                self._event(asked, body.match, T.Decline(asked.account))
            case G.Fetch():
                self._fetch(asked, body, entries)
            case G.Watch():
                self._watches(asked, body)
            case _:
                raise TypeError(f"the referee does not take {type(body).__name__}")

    def _refuse(self, account: bytes, match: bytes, fault: Fault, text: str, ply: int = 0) -> None:
        self._say(account, G.Refused(match, ply, fault.value, text))

    def _say(self, account: bytes, body: Body) -> None:
        self.says.append((account, body, self._answers))

    def _table(self, match: bytes) -> T.Table | None:
        return self.tables.get(match) or self.hall.tables.get(match)

    def _sitter_fault(self, asked: Asked, devices: tuple[bytes, ...]) -> tuple[Fault, str] | None:
        if asked.device not in devices:
            return Fault.MALFORMED, "a player names its own devices, and the one that asks is among them"
        live = set(self.hall.sits.get(asked.account, ()))
        for table in self.tables.values():
            sits = table.phase in LIVE and asked.account in (player.account for player in table.players)
            (live.add if sits else live.discard)(table.match)
        if len(live) >= L.GAME_TABLES_OF_ONE:
            return Fault.TOO_LONG, f"you have {L.GAME_TABLES_OF_ONE} offers and matches: end some of them first"
        return None

    def _offer(self, asked: Asked, body: G.Offer) -> None:
        wish = (T.Wish.RANDOM, T.Wish.FIRST, T.Wish.LAST)[body.wish]
        fault = self._sitter_fault(asked, body.devices)
        if fault is not None:
            self._refuse(asked.account, _NO_MATCH, *fault)
            return
        clock = _clock_of(body.clock)
        if clock is None:
            text = f"{body.clock!r} is no clock: write none, 300+3, bronstein 300+3, 600+5x30 or 3d"
            self._refuse(asked.account, _NO_MATCH, Fault.BAD_PARAMETERS, text)
            return
        terms = T.Terms(
            body.game, body.params, body.seats, clock, body.rated, wish, body.invited, body.life_ms or L.GAME_OFFER_MS,
            body.wager,
        )  # fmt: skip
        fresh = self.entropy(T.FRESH_BYTES)
        opened = self.hall.referee.offer(terms, _player(asked, body), self.now_ms, fresh)
        if isinstance(opened, T.Refused):
            self._refuse(asked.account, _NO_MATCH, opened.fault, opened.text)
            return
        self.tables[opened.table.match] = opened.table
        self._tell_open(opened.table)

    # -- seeking -------------------------------------------------------------------------------------------------------
    def _seek(self, asked: Asked, body: G.Seek) -> None:
        if body.off:
            self._seeks[asked.account] = None
            return
        clock = _clock_of(body.clock)
        fault = self._sitter_fault(asked, body.devices)
        if clock is None or fault is not None:
            self._refuse(asked.account, _NO_MATCH, *(fault or (Fault.BAD_PARAMETERS, f"{body.clock!r} is no clock")))
            return
        player = _player(asked, body)
        terms = T.Terms(body.game, body.params, 2, clock, body.rated)
        refused = terms_fault(self.hall.referee.games, terms, player)
        if refused is not None:
            self._refuse(asked.account, _NO_MATCH, refused.fault, refused.text)
            return
        rating = self.standings.of(asked.account, body.game).rating.rating
        balance = self.standings.balance(asked.account, body.game)
        self._seeks[asked.account] = Seeker(player, terms, rating, balance, self.now_ms)
        self.pair()

    def pair(self) -> None:
        """Open a table for all who have found each other by now."""
        self.hall.pair_ms = self.now_ms + pairing.AGAIN_MS
        now = {**self.hall.seekers, **self._seeks}
        for one, other in pairing.pairs([seeker for seeker in now.values() if seeker], self.now_ms):
            terms = replace(
                one.terms, wish=pairing.wish(one, other), invited=(other.player.account,), life_ms=pairing.LIFE_MS
            )  # fmt: skip
            fresh = self.entropy(T.FRESH_BYTES)
            opened = self.hall.referee.offer(terms, one.player, self.now_ms, fresh)
            accounts = (one.player.account, other.player.account)
            self._seeks |= dict.fromkeys(accounts)
            if isinstance(opened, T.Decision):
                self.tables[opened.table.match] = opened.table
                self._tell_open(opened.table, accounts)

    def _tell_open(self, table: T.Table, to: Iterable[bytes] = ()) -> None:
        terms = table.terms
        accounts = tuple(player.account for player in table.players)
        said = G.Open(
            match=table.match, referee=self.hall.referee.key.public, commitment=commitment(table.match, table.seed),
            game=terms.game, params=terms.params, seats=terms.seats, clock=format_spec(terms.clock), rated=terms.rated,
            players=accounts, until_ms=table.opened_ms + terms.life_ms,
            rematch_of=table.rematch_of, wager=terms.wager,
        )  # fmt: skip
        for account in to or accounts:
            self._say(account, said)

    def _statement(self, asked: Asked, body: G.Statement) -> None:
        ply = 0
        try:
            signed = decode_struct(body.signed, Signed)
            inner = decode_struct(signed.body, Statement)
            ply = inner.ply
            if inner.kind != G.KIND_OF[type(body)]:
                raise RemoteProtocolError("it says another thing than what is signed in it")
        except RemoteProtocolError as error:
            self._refuse(asked.account, body.match, Fault.MALFORMED, f"a statement that cannot be read: {error}")
            return
        self._event(asked, body.match, T.Said(asked.account, signed), ply=ply)

    def _event(
        self, asked: Asked, match: bytes, event: T.Event, *, ply: int = 0, sits: G.Accept | G.Rematch | None = None
    ) -> None:  # fmt: skip
        table = self._table(match)
        fault = None if sits is None else self._sitter_fault(asked, sits.devices)
        if table is None:
            self._refuse(asked.account, match, Fault.OTHER_MATCH, _UNKNOWN, ply)
        elif fault is not None:
            self._refuse(asked.account, match, *fault)
        else:
            self.happens(table, event, ply)

    def _fetch(self, asked: Asked, body: G.Fetch, entries: Sequence[bytes]) -> None:
        table = self._table(body.match)
        if table is None or table.genesis is None or table.log is None:
            self._refuse(asked.account, body.match, Fault.OTHER_MATCH, _UNKNOWN)
        elif asked.account not in (player.account for player in table.players):
            self._refuse(asked.account, body.match, Fault.NOT_SEATED, "you do not play here: /watch shows it, later")
        else:
            self._say(asked.account, G.Start(genesis=encode_struct(table.genesis), seen=self._first_seen(table, asked)))
            for ply, entry in enumerate(entries, body.ply):
                self._say(asked.account, G.Entry(match=table.match, ply=ply, entry=entry))

    def _first_seen(self, table: T.Table, asked: Asked) -> bytes:
        """What a player saw before the first entry."""
        assert table.genesis is not None
        log = self.hall.referee.begin(table, table.genesis)
        seat = [player.account for player in table.players].index(asked.account)
        return self.hall.referee.games[log.genesis.game].observe(log.match.state, seat)

    def _watches(self, asked: Asked, body: G.Watch) -> None:
        table = self._table(body.match)
        hall = self.hall
        seen_by = hall.watchers.get(body.match, set())
        watches = sum(asked.account in accounts for accounts in hall.watchers.values())
        if body.off:
            self._watch.append((body.match, asked.account, False))
        elif table is None or table.phase is not T.Phase.PLAYING or table.log is None:
            self._refuse(asked.account, body.match, Fault.OTHER_MATCH, "there is nothing to watch")
        elif asked.account in (player.account for player in table.players):
            self._refuse(asked.account, body.match, Fault.NOT_HERE, "you play here")
        elif len(seen_by) >= L.GAME_WATCHERS_MAX or watches >= L.GAME_WATCHED_MAX:
            self._refuse(asked.account, body.match, Fault.TOO_LONG, "too many watch it, or you watch too many")
        else:
            self._watch.append((body.match, asked.account, True))
            match, rules = table.log.match, hall.referee.games[table.log.genesis.game]
            seen = rules.observe(match.state, None)
            self._shows.append(Show(match.match, match.ply, self.now_ms + L.GAME_SPECTATOR_DELAY_MS, seen))

    @property
    def is_full(self) -> bool:
        """Whether one more match might be too much for one transaction."""
        return len(self.says) > B.SAYS

    # -- what happens at a table ---------------------------------------------------------------------------------------
    def tick(self, matches: Iterable[bytes]) -> None:
        """Time has passed at some matches."""
        for match in matches:
            table = self._table(match)
            if table is not None:
                self.happens(table, T.Tick())
            if self.is_full:
                return  # the others are still due afterwards

    def happens(self, table: T.Table, event: T.Event, ply: int = 0) -> None:
        """Decide, and note what follows from it. ``ply``: of what was said, for a refusal."""
        decision = self.hall.referee.decide(table, event, self.now_ms)
        self.tables[table.match] = decision.table
        now = decision.table
        for effect in decision.effects:
            if isinstance(effect, T.Opened):
                now = self.tables[effect.table.match] = effect.table
            elif isinstance(effect, T.Proposed):
                self._tell_open(effect.table, [player.account for player in now.players])
            elif isinstance(effect, T.Refused):
                self._refuse(effect.account, now.match, effect.fault, effect.text, ply)
            else:
                self._effect(now, effect)
        if isinstance(event, T.Accept) and decision.table.phase is T.Phase.OFFERED and not _refused(decision):
            self._tell_open(decision.table)

    def _effect(self, table: T.Table, effect: T.Effect) -> None:
        accounts = [player.account for player in table.players]
        match effect:
            case T.Started():
                for account, seen in zip(accounts, effect.observations, strict=True):
                    self._say(account, G.Start(genesis=encode_struct(effect.genesis), seen=seen))
            case T.Logged():
                packed = encode_struct(effect.entry)
                self._entries.append((table.match, effect.ply, packed))
                for account, seen, salt in zip(accounts, effect.observations, effect.salts, strict=True):
                    told = G.Entry(match=table.match, ply=effect.ply, entry=packed, seen=seen, salt=salt)
                    self._say(account, told)
            case T.Shown():
                if self._is_watched(table.match):
                    self._shows.append(Show(table.match, effect.ply + 1, effect.at_ms, effect.observation))
            case T.Convicted():
                pair = encode_struct(effect.one), encode_struct(effect.other)
                for account in accounts:
                    self._say(account, G.Cheat(match=table.match, one=pair[0], other=pair[1]))
            case T.Closed():
                told_off = dict.fromkeys([*accounts, *table.terms.invited])
                for account in told_off:
                    self._say(account, G.Closed(table.match, effect.reason))
            case T.Ended():
                self._ended(table, effect, accounts)
            case _:
                pass  # when to wake follows from the table

    def _is_watched(self, match: bytes) -> bool:
        return match in self.hall.watchers or any(on and one == match for one, _account, on in self._watch)

    def _ended(self, table: T.Table, ended: T.Ended, accounts: list[bytes]) -> None:
        assert table.log is not None
        outcome, pool = ended.outcome, table.terms.game
        wager, key = table.terms.wager, self.hall.referee.key
        signed = b"" if wager is None else award(wager, table.log.genesis, outcome.points, key)
        result = G.Result(table.match, outcome.points, outcome.reason, table.log.link, signed)
        for account in accounts:
            self._say(account, result)
        changed = self.standings.ended(pool, ended.accounts, outcome, rated=ended.rated)
        for account, standing in changed.items():
            said = G.Rating(
                match=table.match, account=account, pool=pool, rating=milli(standing.rating.rating),
                deviation=milli(standing.rating.deviation), games=standing.games,
            )  # fmt: skip
            for to in ended.accounts:
                self._say(to, said)


def _clock_of(text: str) -> Spec | None:
    """A clock with the network's time that it gives back; None: it is none."""
    try:
        return parse_spec(text, 0 if text == "none" or text.endswith("d") else B.LAG_MS)
    except RulesError:
        return None


def _player(asked: Asked, body: G.Offer | G.Accept | G.Rematch | G.Seek) -> T.Player:
    return T.Player(asked.account, body.devices, body.entropy)


def _refused(decision: T.Decision) -> bool:
    return any(isinstance(effect, T.Refused) for effect in decision.effects)


def match_of(body: Any) -> bytes | None:
    """The match that a message is about; None: an offer, which opens one."""
    return getattr(body, "match", None)
