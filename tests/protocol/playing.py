"""A match played by hand: players' keys, a referee's key, and a log that grows entry by entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from protocol.identity import SigningKey
from protocol.judging import Log, Verdict, digests, start, verify
from protocol.match import advance, outcome_text
from protocol.plies import Act, Kind
from protocol.rules.base import AnyRules
from protocol.rules.clocks import NO_CLOCK, Spec
from protocol.rules.deals import commitment, mix
from protocol.transcript import (
    VERSION,
    Entry,
    Genesis,
    Ruling,
    Seat,
    Signed,
    Statement,
    Transcript,
    match_id,
    next_link,
    readings,
    sign,
    statement_hash,
)

REFEREE = SigningKey(b"R" * 32)
KEYS = tuple(SigningKey(bytes([seat + 1]) * 32) for seat in range(4))
SEED = b"S" * 32
START_MS = 1_750_000_000_000


def genesis_of(rules: AnyRules, seats: int, params: Any, clock: Spec, nonce: bytes) -> Genesis:
    match = match_id(REFEREE.public, nonce)
    players = tuple(Seat(bytes([seat + 65]) * 32, (KEYS[seat].public,)) for seat in range(seats))
    entropy = tuple(bytes([seat + 97]) * 32 for seat in range(seats))
    return Genesis(
        VERSION, match, rules.name, rules.version, tuple(params), players, clock, REFEREE.public,
        commitment(match, SEED), entropy, START_MS,
    )  # fmt: skip


class Scribe:
    """Writes a log as a referee does, and, told to, as a bad one would."""

    def __init__(
        self, rules: AnyRules, *, seats: int = 2, params: Any = (), clock: Spec = NO_CLOCK, nonce: bytes = b"n" * 32
    ) -> None:  # fmt: skip
        self.rules = rules
        self.genesis = genesis_of(rules, seats, params, clock, nonce)
        self.signed = sign(self.genesis, REFEREE)
        secret = mix(self.genesis.match, SEED, self.genesis.entropy)
        self.log: Log = start(rules, self.genesis, self.signed, secret)
        self.entries: list[Entry] = []
        self.now_ms = START_MS

    def statement(self, act: Act, **changes: Any) -> Statement:
        match = self.log.match
        body = Statement(
            match.match, match.ply, self.log.link, act.kind, act.seat, act.action, act.draw, act.think_ms
        )  # fmt: skip
        return msgspec.structs.replace(body, **changes)

    def append(self, act: Act, statement: Signed | None, wait_ms: int = 1000, /, **changes: Any) -> Entry:
        """Judge and write an entry; ``changes`` are lies of the referee about it."""
        self.now_ms += wait_ms
        match = advance(self.rules, self.log.match, act, self.now_ms)
        ruling = Ruling(
            match.match, self.log.match.ply, self.log.link, statement_hash(statement), act.kind, act.seat, act.action,
            self.now_ms, readings(match.clocks), digests(self.rules, match),
        )  # fmt: skip
        entry = Entry(statement, sign(replace_struct(ruling, **changes), REFEREE))
        self.entries.append(entry)
        self.log = replace(self.log, match=match, link=next_link(self.log.link, entry))
        return entry

    def say(
        self, seat: int, kind: Kind, action: str = "", *, draw: bool = False, think_ms: int | None = None,
        wait_ms: int = 1000,
    ) -> Entry:  # fmt: skip
        act = Act(kind, seat, action, draw, think_ms)
        return self.append(act, sign(self.statement(act), KEYS[seat]), wait_ms)

    def rule(self, kind: Kind, seat: int = 0, action: str = "", *, wait_ms: int = 1000) -> Entry:
        return self.append(Act(kind, seat, action), None, wait_ms)

    def moves(self, *actions: str) -> Scribe:
        """In turns."""
        for action in actions:
            self.say(self.rules.turn(self.log.match.state)[0], Kind.MOVE, action)
        return self

    def finish(self) -> Scribe:
        outcome = self.log.match.outcome
        assert outcome is not None
        self.rule(Kind.SEED, 0, SEED.hex())
        self.rule(Kind.RESULT, 0, outcome_text(outcome))
        return self

    @property
    def transcript(self) -> Transcript:
        return Transcript("chappe-game", self.signed, tuple(self.entries))

    def verdict(self) -> Verdict:
        return verify(self.transcript, {self.rules.name: self.rules})


def replace_struct(struct: Any, /, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)
