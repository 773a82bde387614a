"""Judging a transcript offline: replay it, and name the first ply that cannot be.

Needed are the file and the rules, nothing else. What a verdict rests on besides: that the accounts of the genesis had
those devices (compare their device lists), that the referee's key is that of a referee one trusts for its clock, and
for the plies in ``on_its_word`` (somebody left, nobody began) the referee's word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from protocol.match import Match, advance, new_match
from protocol.plies import ON_ITS_WORD, REFEREE_FROM, Act, Fault, Kind, MatchError
from protocol.rules.base import AnyRules, Result, RulesError
from protocol.rules.deals import is_seed, mix, observation_digest
from protocol.transcript import (
    VERSION,
    Entry,
    Genesis,
    Ruling,
    Signed,
    Statement,
    Transcript,
    TranscriptError,
    first_link,
    next_link,
    open_signed,
    readings,
    statement_hash,
)

GENESIS_PLY: Final = -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a transcript is worth."""

    genesis: Genesis | None  # None: not even that could be read
    plies: int  # entries in the file
    bad_ply: int | None = None  # the first that cannot be; −1: the genesis
    fault: Fault | None = None
    why: str = ""
    outcome: Result | None = None  # how it ended, as far as the log is good
    final: bool = False  # the referee has stated the result
    sealed: bool = False  # chance was not checked, since the seed has not been revealed
    on_its_word: tuple[int, ...] = ()
    seen: bytes = b""  # what everybody sees in the last good state
    acts: tuple[tuple[Act, int], ...] = ()  # all good entries, with the referee's time

    @property
    def ok(self) -> bool:
        """Whether everything in it is genuine and by the rules."""
        return self.fault is None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next entry of a match belongs: all that its signatures can be checked against without the rules."""

    genesis: Genesis
    ply: int
    link: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """A match, its place in the chain, and what was agreed before it."""

    genesis: Genesis
    match: Match
    link: bytes
    secret: bytes = field(repr=False)  # empty while sealed

    @property
    def place(self) -> Place:
        """Where the next entry belongs."""
        return Place(self.genesis, self.match.ply, self.link)


def verify(transcript: Transcript, games: Mapping[str, AnyRules]) -> Verdict:
    """Replay and judge. Never raises on anything that a file can hold."""
    plies = len(transcript.entries)
    try:
        genesis = open_signed(transcript.genesis, Genesis)
    except TranscriptError as error:
        return Verdict(None, plies, GENESIS_PLY, error.fault, f"the genesis: {error}")
    try:
        rules, log = _begin(transcript, genesis, games)
    except MatchError as error:
        return Verdict(genesis, plies, GENESIS_PLY, error.fault, f"the genesis: {error}")
    verdict = Verdict(genesis, plies)
    words: list[int] = []
    acts: list[tuple[Act, int]] = []
    for ply, entry in enumerate(transcript.entries):
        try:
            log, act = check_entry(rules, log, entry)
        except MatchError as error:
            verdict = replace(verdict, bad_ply=ply, fault=error.fault, why=str(error))
            break
        acts.append((act, log.match.at_ms))
        if act.kind in ON_ITS_WORD:
            words.append(ply)
    match = log.match
    return replace(
        verdict, outcome=match.outcome, final=match.told, on_its_word=tuple(words), acts=tuple(acts),
        sealed=bool(genesis.commitment) and not log.secret and not match.secret,
        seen=rules.observe(match.state, None),
    )  # fmt: skip


def check_genesis(genesis: Genesis, signer: bytes, games: Mapping[str, AnyRules]) -> AnyRules:
    """The rules of a match, if its genesis makes sense. Raises ``MatchError``."""
    if signer != genesis.referee:
        raise MatchError(Fault.BAD_SIGNATURE, "it is not signed by the referee that it names")
    if genesis.version != VERSION:
        raise MatchError(Fault.BAD_PARAMETERS, f"it has version {genesis.version}; update this program")
    rules = games.get(genesis.game)
    if rules is None or rules.version != genesis.rules_version:
        raise MatchError(
            Fault.BAD_PARAMETERS, f"the rules of {genesis.game!r}, version {genesis.rules_version}, are not known here"
        )
    devices = [device for seat in genesis.seats for device in seat.devices]
    if len(set(devices)) != len(devices):
        raise MatchError(Fault.BAD_PARAMETERS, "one device plays twice")
    if len(dict(genesis.params)) != len(genesis.params):
        raise MatchError(Fault.BAD_PARAMETERS, "a parameter is there twice")
    if genesis.commitment and len(genesis.entropy) != len(genesis.seats):
        raise MatchError(Fault.BAD_PARAMETERS, "the entropy of a player is missing")
    return rules


def _begin(transcript: Transcript, genesis: Genesis, games: Mapping[str, AnyRules]) -> tuple[AnyRules, Log]:
    rules = check_genesis(genesis, transcript.genesis.signer, games)
    secret = revealed_secret(transcript, genesis)
    if rules.hidden and not secret:
        raise MatchError(Fault.SEALED, "the deal is not revealed yet: it can be judged after the end")
    return rules, start(rules, genesis, transcript.genesis, secret)


def start(rules: AnyRules, genesis: Genesis, signed: Signed, secret: bytes) -> Log:
    """A log before its first entry. Raises ``MatchError``."""
    try:
        match = new_match(
            rules, dict(genesis.params), len(genesis.seats), genesis.clock, genesis.match, secret, genesis.started_ms
        )  # fmt: skip
    except RulesError as error:
        raise MatchError(Fault.BAD_PARAMETERS, str(error)) from None
    return Log(genesis, match, first_link(signed), secret)


def revealed_secret(transcript: Transcript, genesis: Genesis) -> bytes:
    """The secret of a match, from the last ruling that reveals a seed; empty if none does it rightly."""
    for entry in reversed(transcript.entries):
        if entry.statement is not None:
            continue
        try:
            ruling = open_signed(entry.ruling, Ruling)
            seed = bytes.fromhex(ruling.action) if ruling.kind == Kind.SEED else b""
        except (TranscriptError, ValueError):
            continue
        if is_seed(genesis.match, seed, genesis.commitment):
            return mix(genesis.match, seed, genesis.entropy)
    return b""


# -- one entry ---------------------------------------------------------------------------------------------------------
def check_entry(rules: AnyRules, log: Log, entry: Entry) -> tuple[Log, Act]:
    """The log after one more entry, and what it says. Raises ``MatchError``."""
    act, ruling = read_entry(log.place, entry)
    match = advance(rules, log.match, act, ruling.at_ms)
    if ruling.clocks != readings(match.clocks):
        raise MatchError(Fault.WRONG_CLOCKS, "the clocks after it are not those that the times give")
    if ruling.observations != digests(rules, match):
        raise MatchError(Fault.WRONG_OBSERVATION, "what a player was shown is not what was there to see")
    return replace(log, match=match, link=next_link(log.link, entry)), act


def read_entry(place: Place, entry: Entry) -> tuple[Act, Ruling]:
    """What an entry says, and the referee's ruling: genuine and in its place. The rules are not asked here.

    Raises ``MatchError``.
    """
    statement = None if entry.statement is None else check_statement(place, entry.statement)
    ruling = _ruling(place, entry)
    if statement is None:
        return _referees(place, ruling), ruling
    act = statement.act()
    if (ruling.kind, ruling.seat, ruling.action) != (act.kind, act.seat, act.action):
        raise MatchError(Fault.FORGED_RULING, "the referee's ruling is about something else than was said")
    return act, ruling


def check_statement(place: Place, signed: Signed) -> Statement:
    """A player's statement that fits the next place of a log. Raises ``MatchError``; the rules are not asked here."""
    try:
        statement = open_signed(signed, Statement)
    except TranscriptError as error:
        raise MatchError(error.fault, f"the player's statement: {error}") from None
    if statement.match != place.genesis.match:
        raise MatchError(Fault.OTHER_MATCH, "it was said in another match")
    seats = place.genesis.seats
    if statement.seat >= len(seats) or signed.signer not in seats[statement.seat].devices:
        raise MatchError(Fault.NOT_SEATED, "the device that signed it does not play here")
    if statement.ply != place.ply:
        fault = Fault.STALE if statement.ply < place.ply else Fault.WRONG_PLY
        raise MatchError(fault, f"it was said for ply {statement.ply}, and this is ply {place.ply}")
    if statement.previous != place.link:
        raise MatchError(Fault.WRONG_LINK, "it does not continue what is before it")
    return statement


def _ruling(place: Place, entry: Entry) -> Ruling:
    try:
        ruling = open_signed(entry.ruling, Ruling)
    except TranscriptError as error:
        raise MatchError(Fault.FORGED_RULING, f"the referee's ruling: {error}") from None
    if entry.ruling.signer != place.genesis.referee:
        raise MatchError(Fault.FORGED_RULING, "the ruling is not the referee's")
    if ruling.match != place.genesis.match:
        raise MatchError(Fault.OTHER_MATCH, "the ruling is about another match")
    if ruling.ply != place.ply:
        raise MatchError(Fault.WRONG_PLY, f"the ruling is about ply {ruling.ply}, and this is ply {place.ply}")
    if ruling.previous != place.link:
        raise MatchError(Fault.WRONG_LINK, "the ruling does not continue what is before it")
    if ruling.statement != statement_hash(entry.statement):
        raise MatchError(Fault.FORGED_RULING, "the ruling is about another statement")
    return ruling


def _referees(place: Place, ruling: Ruling) -> Act:
    """What the referee says alone, where it may say such a thing."""
    if ruling.kind not in set(Kind) or ruling.kind < REFEREE_FROM:
        raise MatchError(Fault.FORGED_RULING, "the referee says what only a player can say")
    if ruling.kind == Kind.SEED:
        try:
            seed = bytes.fromhex(ruling.action)
        except ValueError:
            seed = b""
        if not is_seed(place.genesis.match, seed, place.genesis.commitment):
            raise MatchError(Fault.WRONG_SEED, "this seed is not the one that was committed to")
    return Act(Kind(ruling.kind), ruling.seat, ruling.action)


def views(rules: AnyRules, match: Match) -> tuple[bytes, ...]:
    """What is seen: by each seat, and by everybody. Where nothing is hidden, all see the same."""
    public = rules.observe(match.state, None)
    if not rules.hidden:
        return (public,) * (match.seats + 1)
    return (*(rules.observe(match.state, seat) for seat in range(match.seats)), public)


def digests(rules: AnyRules, match: Match, seen: tuple[bytes, ...] = ()) -> tuple[bytes, ...]:
    """What the referee signs of what is seen: by each seat, and by everybody. ``seen``: the ``views``, if known."""
    seen = seen or views(rules, match)
    if not rules.hidden:
        return (observation_digest(b"", 0, 0, seen[0]),) * len(seen)
    ply = match.ply - 1
    own = (observation_digest(match.secret, seat, ply, seen[seat]) for seat in range(match.seats))
    return (*own, observation_digest(b"", 0, ply, seen[-1]))
