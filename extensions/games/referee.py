"""The referee, pure: ``decide(table, event, now_ms)`` gives the table after an event, and what to do.

The order of judgement is always the same: first time (a flag that has fallen is logged before anything else is looked
at), then form and signature, then place, then the rules. Whatever is refused changes nothing. Every entry is made by
the same ``advance`` by which a transcript is verified, so a referee that follows this file cannot write a log that does
not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from extensions.games.seating import open_table, refusal, seated, terms_fault
from extensions.games.table import (
    Accept,
    Again,
    Away,
    Back,
    Closed,
    Convicted,
    Decision,
    Decline,
    Effect,
    Ended,
    Event,
    Gone,
    Logged,
    Opened,
    Phase,
    Player,
    Proposed,
    Refused,
    Said,
    Shown,
    Started,
    Table,
    Terms,
    Wake,
)
from protocol import limits as L
from protocol.identity import SigningKey
from protocol.judging import Log, check_entry, check_statement, digests, start, views
from protocol.match import advance, outcome_text
from protocol.plies import Act, Fault, Kind, MatchError
from protocol.rules import clocks as C
from protocol.rules.base import CHANCE, AnyRules
from protocol.rules.clocks import System
from protocol.rules.deals import mix, observation_salt
from protocol.transcript import (
    Entry,
    Genesis,
    Ruling,
    Signed,
    convicts,
    next_link,
    open_signed,
    readings,
    sign,
    statement_hash,
)

_OVER = "the match is over"


@dataclass(frozen=True, slots=True)
class Referee:
    """A referee: its key, the games that it knows, the engines behind them. It holds no match."""

    key: SigningKey
    games: Mapping[str, AnyRules]
    engines: tuple[tuple[str, str], ...] = ()

    def offer(self, terms: Terms, player: Player, now_ms: int, fresh: bytes) -> Decision | Refused:
        """Open a table. ``fresh``: 64 random bytes; the seed among them is chosen before anybody accepts."""
        refused = terms_fault(self.games, terms, player)
        if refused is not None:
            return refused
        table = open_table(self.key.public, terms, (player,), now_ms, fresh)
        return Decision(table, (Wake(now_ms + terms.life_ms),))

    def decide(self, table: Table, event: Event, now_ms: int) -> Decision:
        """The table after an event at a time of the referee's clock, and what to do about it."""
        step = _Step(self, table, now_ms)
        if isinstance(event, Away):
            step.was_away(event.away_ms)
        step.time_passes()
        step.take(event, late=step.has_ended)
        return step.decision()

    def restore(self, table: Table, genesis: Signed, entries: tuple[Entry, ...]) -> Table:
        """A table as it was, from what was stored: the log is replayed. Raises ``MatchError`` if it does not hold."""
        log = self.begin(table, genesis)
        said: list[Signed | None] = [None] * len(table.players)
        rules = self.games[log.genesis.game]
        for entry in entries:
            log, act = check_entry(rules, log, entry)
            if entry.statement is not None:
                said[act.seat] = entry.statement
        phase = Phase.OVER if log.match.told else Phase.PLAYING
        by_account = {player.account: player for player in table.players}
        players = tuple(by_account[seat.account] for seat in log.genesis.seats)
        return replace(
            table, players=players, genesis=genesis, log=log, heard=tuple(said), phase=phase, gone=(None,) * len(said)
        )  # fmt: skip

    def begin(self, table: Table, signed: Signed) -> Log:
        """The log of a match before its first entry. Raises ``MatchError``."""
        genesis = open_signed(signed, Genesis)
        secret = mix(genesis.match, table.seed, genesis.entropy)
        return start(self.games[genesis.game], genesis, signed, secret)


class _Step:
    """One decision while it is made."""

    def __init__(self, referee: Referee, table: Table, now_ms: int) -> None:
        self._referee = referee
        self._table = table
        self._before = table.phase
        self._now_ms = now_ms if table.log is None else max(now_ms, table.log.match.at_ms)  # a clock that went back
        self._effects: list[Effect] = []

    def decision(self) -> Decision:
        """What was decided."""
        wake = next_ms(self._table)
        if wake is not None:
            self._effects.append(Wake(wake))
        return Decision(self._table, tuple(self._effects))

    @property
    def has_ended(self) -> bool:
        """Whether the match was on before this step, and is over now."""
        return self._before is Phase.PLAYING and self._table.phase is Phase.OVER

    def take(self, event: Event, *, late: bool) -> None:
        """Do what the event asks for. ``late``: time has just ended the match."""
        match event:
            case Accept():
                self._accept(event.player)
            case Decline():
                self._decline(event.account)
            case Said():
                self._said(event, late)
            case Gone() | Back():
                self._presence(event.account, isinstance(event, Gone))
            case Again():
                self._again(event)
            case _:
                pass  # a tick: time has passed already

    def _refuse(self, account: bytes, fault: Fault, text: str) -> None:
        self._effects.append(Refused(account, fault, text))

    def was_away(self, away_ms: int) -> None:
        """Nobody is charged for the time in which the referee itself was not there."""
        table = self._table
        if table.phase is not Phase.PLAYING or table.log is None:
            return
        gone = tuple(None if at is None else min(self._now_ms, at + away_ms) for at in table.gone)
        self._table = replace(table, gone=gone)
        match = table.log.match
        lost_ms = min(away_ms, self._now_ms - match.clocks.since_ms)
        counts = match.spec.system not in (System.NONE, System.CORRESPONDENCE) and match.clocks.running
        if counts and lost_ms > 0 and match.ply < L.GAME_PLIES_MAX - L.GAME_ENDING_PLIES:
            self._log(None, Act(Kind.PAUSED, 0, str(lost_ms)))

    # -- before the start ----------------------------------------------------------------------------------------------
    def _accept(self, player: Player) -> None:
        table = self._table
        fault = refusal(table, player)
        if fault is not None:
            self._effects.append(fault)
            return
        players = (*table.players, player)
        self._table = replace(table, players=players)
        if len(players) == table.terms.seats:
            try:
                self._start()
            except MatchError as error:  # an engine that fails at the first position
                self._close(f"it cannot begin: {error}")

    def _start(self) -> None:
        genesis, players = seated(self._referee, self._table, self._now_ms)
        signed = sign(genesis, self._referee.key)
        table = replace(self._table, players=players, genesis=signed, phase=Phase.PLAYING)
        none = (None,) * len(players)
        log = self._referee.begin(table, signed)
        self._table = replace(table, log=log, heard=none, gone=none)
        rules = self._referee.games[genesis.game]
        shown = tuple(rules.observe(log.match.state, seat) for seat in range(len(players)))
        self._effects.append(Started(signed, shown))
        self._follow_up()

    def _decline(self, account: bytes) -> None:
        table = self._table
        if table.phase is not Phase.OFFERED:
            self._refuse(account, Fault.OVER, "the match has begun, or the offer is off")
        elif account == table.players[0].account or account in table.terms.invited:
            self._close("declined")
        else:
            self._refuse(account, Fault.NOT_SEATED, "this was not offered to you")

    def _close(self, reason: str) -> None:
        self._table = replace(self._table, phase=Phase.CLOSED)
        self._effects.append(Closed(reason))

    # -- while it is played --------------------------------------------------------------------------------------------
    def time_passes(self) -> None:
        """Log what time alone has done."""
        table, now = self._table, self._now_ms
        if table.phase is Phase.OFFERED:
            if now >= table.opened_ms + table.terms.life_ms:
                self._close("nobody came in time")
            return
        if table.phase is not Phase.PLAYING or table.log is None:
            return
        match = table.log.match
        down = C.fallen(match.spec, match.clocks, now)
        away = _absent(table, now)
        if down:
            self._log(None, Act(Kind.TIMEOUT, down[0]))
        elif not match.began and now >= _no_show_ms(table.log):
            self._log(None, Act(Kind.ABORTED))
        elif away is not None:
            self._log(None, Act(Kind.ABSENT, away))
        self._follow_up()

    def _said(self, said: Said, late: bool) -> None:
        table = self._table
        if table.log is None:
            self._refuse(said.account, Fault.OTHER_MATCH, "this match has not begun")
            return
        try:
            self._check_sender(table, said)
            if table.phase is not Phase.PLAYING:
                fault, why = (Fault.LATE, "time was over before this came") if late else (Fault.OVER, _OVER)
                raise MatchError(fault, why)
            statement = check_statement(table.log.place, said.signed)
            self._log(said.signed, statement.act())
        except MatchError as error:
            self._refuse(said.account, error.fault, str(error))
            return
        self._follow_up()

    def _check_sender(self, table: Table, said: Said) -> None:
        """Refuse what is said twice, or in two ways. Raises ``MatchError``."""
        for seat, before in enumerate(table.heard):
            if before is None:
                continue
            if before == said.signed:
                raise MatchError(Fault.DUPLICATE, "this has counted already")
            if convicts(before, said.signed) is not None:
                self._effects.append(Convicted(table.players[seat].account, before, said.signed))
                raise MatchError(Fault.TWO_AT_ONCE, "two different statements for one ply: the first one counts")

    def _log(self, statement: Signed | None, act: Act) -> None:
        """Append an entry. Raises ``MatchError``, and then nothing has changed."""
        log = self._table.log
        if log is None:
            raise AssertionError("a table without a log has no entries")
        rules = self._referee.games[log.genesis.game]
        match = advance(rules, log.match, act, self._now_ms)
        seen = views(rules, match)
        ruling = Ruling(
            match.match, log.match.ply, log.link, statement_hash(statement), act.kind, act.seat, act.action,
            self._now_ms, readings(match.clocks), digests(rules, match, seen),
        )  # fmt: skip
        entry = Entry(statement, sign(ruling, self._referee.key))
        heard = self._table.heard
        if statement is not None:
            heard = tuple(statement if at == act.seat else old for at, old in enumerate(heard))
        log_ = Log(log.genesis, match, next_link(log.link, entry), log.secret)
        self._table = replace(self._table, log=log_, heard=heard)
        ply, seats = log.match.ply, range(match.seats)
        salts = tuple(observation_salt(match.secret, seat, ply) if rules.hidden else b"" for seat in seats)
        self._effects.append(Logged(ply, entry, seen[:-1], salts))
        self._effects.append(Shown(self._now_ms + L.GAME_SPECTATOR_DELAY_MS, ply, seen[-1]))

    def _follow_up(self) -> None:
        """What the referee says after an entry: what chance decided, and at the end the seed and the result."""
        while (log := self._table.log) is not None:
            match, rules = log.match, self._referee.games[log.genesis.game]
            if match.outcome is None:
                if rules.turn(match.state) != (CHANCE,):
                    return
                self._log(None, Act(Kind.CHANCE, 0, rules.chance(match.state, match.secret)))
                continue
            if self._table.phase is not Phase.PLAYING:
                return
            self._log(None, Act(Kind.SEED, 0, self._table.seed.hex()))
            self._log(None, Act(Kind.RESULT, 0, outcome_text(match.outcome)))
            self._table = replace(self._table, phase=Phase.OVER)
            accounts = tuple(player.account for player in self._table.players)
            self._effects.append(Ended(match.outcome, log.genesis.rated, accounts))

    def _presence(self, account: bytes, gone: bool) -> None:
        table = self._table
        if table.phase is Phase.PLAYING:
            since = self._now_ms if gone else None
            self._table = replace(
                table,
                gone=tuple(
                    (since if old is None or not gone else old) if player.account == account else old
                    for player, old in zip(table.players, table.gone, strict=True)
                ),
            )

    # -- afterwards ----------------------------------------------------------------------------------------------------
    def _again(self, event: Again) -> None:
        table, player = self._table, event.player
        if table.phase is not Phase.OVER:
            self._refuse(player.account, Fault.NOT_HERE, "a rematch comes after the end")
        elif player.account not in (other.account for other in table.players):
            self._refuse(player.account, Fault.NOT_SEATED, "you did not play here")
        elif player.account in (other.account for other in table.again):
            self._refuse(player.account, Fault.DUPLICATE, "you have asked for a rematch already")
        else:
            fresh = table.fresh or event.fresh
            self._table = replace(table, again=(*table.again, player), fresh=fresh)
            if len(self._table.again) == len(table.players):
                self._rematch(fresh)
            else:
                key = self._referee.key.public
                new = open_table(key, _for_nothing(table.terms), self._table.again, self._now_ms, fresh, table.match)
                self._effects.append(Proposed(new))

    def _rematch(self, fresh: bytes) -> None:
        """Everybody wants one: the same terms, everybody one seat further."""
        table = self._table
        by_account = {player.account: player for player in table.again}
        order = [by_account[player.account] for player in (*table.players[1:], table.players[0])]
        key, terms = self._referee.key.public, _for_nothing(table.terms)
        new = open_table(key, terms, tuple(order), self._now_ms, fresh, table.match)
        opened = _Step(self._referee, new, self._now_ms)
        opened._start()
        self._table = replace(table, phase=Phase.CLOSED)
        self._effects += [Opened(opened._table), *opened.decision().effects]


def _for_nothing(terms: Terms) -> Terms:
    """The terms of a rematch: money is agreed on each time anew."""
    return replace(terms, wager=None)


# -- times -------------------------------------------------------------------------------------------------------------
def _no_show_ms(log: Log) -> int:
    """When a match in which not everybody has moved is called off."""
    spec = log.match.spec
    wait = spec.step_ms if spec.system == System.CORRESPONDENCE else L.GAME_START_MS
    return log.match.at_ms + wait


def _absent(table: Table, now_ms: int) -> int | None:
    """Who has been away for too long, the longest first; nobody if all are away, since nobody is there to win."""
    since = [(at, seat) for seat, at in enumerate(table.gone) if at is not None]
    if not since or len(since) == len(table.gone) or table.terms.clock.system == System.CORRESPONDENCE:
        return None
    at, seat = min(since)
    return seat if now_ms >= at + L.GAME_GRACE_MS else None


def next_ms(table: Table) -> int | None:
    """When time alone will do something."""
    if table.phase is Phase.OFFERED:
        return table.opened_ms + table.terms.life_ms
    if table.phase is not Phase.PLAYING or table.log is None:
        return None
    match = table.log.match
    flag = C.next_deadline_ms(match.spec, match.clocks)
    times = [] if flag is None else [flag]
    if not match.began:
        times.append(_no_show_ms(table.log))
    away = [at for at in table.gone if at is not None]
    if away and len(away) < len(table.gone) and table.terms.clock.system != System.CORRESPONDENCE:
        times.append(min(away) + L.GAME_GRACE_MS)
    return min(times, default=None)
