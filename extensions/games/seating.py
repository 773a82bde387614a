"""Offers and seats: who may sit down, on which terms, and who sits where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from extensions.games.table import FRESH_BYTES, Phase, Player, Refused, Table, Terms, Wish
from protocol import limits as L
from protocol.identity import SigningKey
from protocol.ids import tagged_hash
from protocol.plies import Fault
from protocol.rules.base import AnyRules, RulesError, checked
from protocol.rules.clocks import check_spec
from protocol.rules.deals import SEED_BYTES, Stream, commitment
from protocol.transcript import VERSION, Genesis, Seat, match_id


class _Judge(Protocol):
    @property
    def key(self) -> SigningKey:
        """Signs."""
        ...

    @property
    def games(self) -> Mapping[str, AnyRules]:
        """The games that it knows."""
        ...

    @property
    def engines(self) -> tuple[tuple[str, str], ...]:
        """What judges."""
        ...


def terms_fault(games: Mapping[str, AnyRules], terms: Terms, player: Player) -> Refused | None:
    """Why an offer cannot stand; None if it can."""
    rules = games.get(terms.game)
    if rules is None:
        text = f"this referee does not know {terms.game[:32]!r}"
        return Refused(player.account, Fault.BAD_PARAMETERS, text)
    try:
        if len(dict(terms.params)) != len(terms.params):
            raise RulesError("a parameter is there twice")
        checked(rules, dict(terms.params), terms.seats)
        check_spec(terms.clock)
    except RulesError as error:
        return Refused(player.account, Fault.BAD_PARAMETERS, str(error))
    if not 0 < terms.life_ms <= L.GAME_OFFER_MS or player.account in terms.invited:
        return Refused(player.account, Fault.BAD_PARAMETERS, "it lasts at most a week, and is for others")
    if terms.wager is not None and terms.seats > L.STAKE_PLAYERS_MAX:
        return Refused(player.account, Fault.BAD_PARAMETERS, f"at most {L.STAKE_PLAYERS_MAX} can play for a stake")
    return _player_fault(player, ())


def refusal(table: Table, player: Player) -> Refused | None:
    """Why somebody cannot accept; None if it can."""
    if table.phase is not Phase.OFFERED:
        return Refused(player.account, Fault.OVER, "the match has begun, or the offer is off")
    invited = table.terms.invited
    if invited and player.account not in invited:
        return Refused(player.account, Fault.NOT_SEATED, "this was not offered to you")
    return _player_fault(player, table.players)


def _player_fault(player: Player, others: tuple[Player, ...]) -> Refused | None:
    if player.account in (other.account for other in others):
        return Refused(player.account, Fault.DUPLICATE, "you sit at this table already")
    taken = {device for other in others for device in other.devices}
    if not 1 <= len(set(player.devices)) == len(player.devices) <= L.DEVICES_MAX or taken & set(player.devices):
        return Refused(player.account, Fault.MALFORMED, "a player names its devices, and only its own")
    if len(player.entropy) != SEED_BYTES:
        return Refused(player.account, Fault.MALFORMED, f"a player adds {SEED_BYTES} bytes of chance")
    return None


def open_table(
    referee: bytes, terms: Terms, players: tuple[Player, ...], now_ms: int, fresh: bytes, rematch_of: bytes = b""
) -> Table:  # fmt: skip
    """A table that waits. ``fresh`` are 64 random bytes. Raises ``ValueError`` for another number of them."""
    if len(fresh) != FRESH_BYTES:
        raise ValueError(f"a table needs {FRESH_BYTES} fresh random bytes, not {len(fresh)}")
    match = match_id(referee, fresh[SEED_BYTES:])
    return Table(match, terms, players, now_ms, fresh[:SEED_BYTES], rematch_of=rematch_of)


def seated(judge: _Judge, table: Table, now_ms: int) -> tuple[Genesis, tuple[Player, ...]]:
    """The genesis of a full table, and the players by seat."""
    terms = table.terms
    players = table.players
    if not table.rematch_of:  # in a rematch everybody has moved on by one seat already
        if terms.wish is Wish.LAST:
            players = (*players[1:], players[0])
        elif terms.wish is Wish.RANDOM:
            key = tagged_hash("game/seats", (table.match, table.seed, *(player.entropy for player in players)))
            players = Stream(key).shuffled(players)
    rules = judge.games[terms.game]
    genesis = Genesis(
        VERSION, table.match, terms.game, rules.version, terms.params,
        tuple(Seat(player.account, player.devices) for player in players), terms.clock, judge.key.public,
        commitment(table.match, table.seed), tuple(player.entropy for player in players), now_ms, terms.rated,
        judge.engines, table.rematch_of,
    )  # fmt: skip
    return genesis, players
