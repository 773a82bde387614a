"""A player's memory of matches: what messages mean for them. Runs inside the vault transaction in which a message
becomes an event, so every message counts exactly once, whatever dies when. No I/O but the vault, nothing awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from clients.engine import Engine
from clients.events import Alarm, Received
from clients.games import records as R
from clients.games.following import Following, replayed
from clients.games.records import Offer, Record, Said, Seeking, State
from clients.records import Status as Standing
from clients.records import rows
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.identity import open_signed as open_list
from protocol.ids import pair_topic
from protocol.messages import Body, compose, parse
from protocol.messages import game as G
from protocol.messages.registry import Message
from protocol.plies import Act, Fault, Kind, MatchError
from protocol.rules.clocks import format_spec
from protocol.transcript import Entry, Genesis, Signed, TranscriptError, open_signed, sign

_MARK: Final = b"game."  # in the bytes of every content of this family: most messages are looked at no further
_FOLLOWED: Final = 64  # matches whose state is in memory; others are replayed when they are looked at
_TYPE_OF: Final = {kind: body for body, kind in G.KIND_OF.items()}
_LIVE: Final = (State.OFFERED, State.INVITED, State.ACCEPTED, State.PLAYING)


class Book:
    """See the module. ``changed`` is called after each transaction in which something changed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shelf = engine.shelf
        vault = engine.shelf.vault
        self.records = {r.match: r for r in rows(vault, R.MATCHES, Record)}
        self.offers = {o.id: o for o in rows(vault, R.OFFERS, Offer)}
        self.seeks = {s.referee: s for s in rows(vault, R.SEEKS, Seeking)}
        self.shown: dict[bytes, G.Shown] = {}  # by match: what we saw last as spectators
        self.ratings: dict[tuple[bytes, str], G.Rating] = {}  # by account and pool, as the referee told us
        self.changed: Callable[[], None] = lambda: None
        self._followed: dict[bytes, Following] = {}
        self._unwritten: dict[bytes, bytes] = {}  # entries of transactions that are not through yet
        self._early: dict[bytes, dict[int, G.Entry]] = {}  # entries that came before those before them

    # -- writing -------------------------------------------------------------------------------------------------------
    def save(self, record: Record) -> None:
        """Write a match with the present transaction."""
        self.records[record.match] = record
        self._shelf.journal.put(R.MATCHES, record.match, record)
        self._touched()

    def save_offer(self, offer: Offer) -> None:
        """Write an offer; one that the referee has taken is forgotten."""
        self.offers[offer.id] = offer
        self._shelf.journal.put(R.OFFERS, offer.id, None if offer.match else offer)
        self._touched()

    def save_seek(self, referee: bytes, seeking: Seeking | None) -> None:
        """Write what we seek; None: nothing any more."""
        if seeking is None:
            self.seeks.pop(referee, None)
        else:
            self.seeks[referee] = seeking
        self._shelf.journal.put(R.SEEKS, referee, seeking)
        self._touched()

    def devices(self) -> tuple[bytes, ...]:
        """Our devices, all of which may sign in a match."""
        listed = open_list(self._shelf.identity.signed_list)
        return tuple(device.key for device in listed.devices)

    def _touched(self) -> None:
        self._shelf.journal.after(lambda: self.changed())

    def say(self, topic: bytes, body: Body) -> bytes | None:
        """Say something in a conversation that we are in; its message id, or None."""
        talk = self._shelf.conversations.get(topic)
        if talk is None or talk.status in (Standing.REMOVED, Standing.LEFT):
            return None
        return self._engine.say(talk, compose(body, seen=self._engine.seen(talk)))

    def sign_and_say(self, record: Record, kind: Kind, action: str = "", *, draw: bool = False) -> bool:
        """Sign a statement for the next ply, keep it and say it, in one transaction. False: nobody hears it."""
        following = self.follow(record)
        statement = following.statement(kind, action, draw, self._shelf.clock_ms())
        signed = encode_struct(sign(statement, self._shelf.device))
        record.said = Said(statement.ply, kind, action, draw, signed)
        record.refused = ""
        self.save(record)
        return self.say(record.topic, _TYPE_OF[kind](record.match, signed)) is not None

    # -- following -----------------------------------------------------------------------------------------------------
    def follow(self, record: Record) -> Following:
        """A match as it stands. Raises ``MatchError`` where what the vault keeps does not hold."""
        found = self._followed.pop(record.match, None)
        if found is None:
            names = [R.entry_name(record.match, ply) for ply in range(record.plies)]
            rows = [self._unwritten.get(name) or self._shelf.vault.get(R.ENTRIES, name) for name in names]
            entries = [decode_struct(row, Entry) for row in rows if row is not None]
            signed = decode_struct(record.genesis, Signed)
            found = replayed(signed, record.seat, entries, record.heard_ms, record.first_seen, record.seen)
        self._followed[record.match] = found
        while len(self._followed) > _FOLLOWED:
            self._followed.pop(next(iter(self._followed)))
        return found

    # -- what comes ----------------------------------------------------------------------------------------------------
    def heard(self, event: Received) -> None:
        """A message of ours or of somebody else."""
        if _MARK not in event.content:
            return
        try:
            message = parse(event.content)
        except RemoteProtocolError:
            return
        body = message.body
        if not isinstance(body, Body) or not body.TYPE.startswith("game.") or event.account == self._shelf.account:
            return
        if event.topic == pair_topic(self._shelf.account, event.account):
            self._from_referee(event, message, body)
        if isinstance(body, G.Open) and event.account in body.players and event.account != body.referee:
            self._invited(event, body)

    def _from_referee(self, event: Received, message: Message, body: Body) -> None:
        re = message.content.re
        offer = None if re is None else self.offers.get(re.id)
        record = self.records.get(getattr(body, "match", b""))
        if isinstance(body, G.Open):
            self._opened(event, body, offer)
        elif isinstance(body, G.Start):
            self._started(event, body)
        elif isinstance(body, G.Refused) and offer is not None and offer.referee == event.account:
            offer.refused = f"{body.fault}: {body.text}"
            self.save_offer(offer)
        elif isinstance(body, G.Refused) and body.match == bytes(L.KEY_BYTES) and event.account in self.seeks:
            self.seeks[event.account].refused = f"{body.fault}: {body.text}"
            self._touched()
        elif isinstance(body, G.Rating):
            self.ratings[body.account, body.pool] = body
            self._touched()
        elif record is not None and record.referee == event.account:
            self._about(record, body)

    def _about(self, record: Record, body: Body) -> None:
        match body:
            case G.Entry():
                self._entry(record, body)
            case G.Refused():
                self._refused(record, body)
            case G.Result():
                self._ended(record, body)
            case G.Closed():
                self._closed(record, body)
            case G.Cheat():
                record.alarm = record.alarm or "a player signed two different statements for one ply"
                self.save(record)
            case G.Shown() if record.state == State.WATCHING:
                self.shown[record.match] = body
                self._touched()

    # -- before the start ----------------------------------------------------------------------------------------------
    def _known(self, body: G.Open, topic: bytes, state: State) -> Record:
        return Record(
            body.match, body.referee, topic, state, body.game, body.params, body.seats, body.clock, body.rated,
            body.players, until_ms=body.until_ms, commitment=body.commitment, rematch_of=body.rematch_of,
            made_ms=self._shelf.clock_ms(), wager=body.wager,
        )  # fmt: skip

    def _opened(self, event: Received, body: G.Open, offer: Offer | None) -> None:
        """The referee has opened a table: ours, one that we have joined, or a rematch that somebody wants."""
        if body.referee != event.account:
            return
        known = self.records.get(body.match)
        if known is not None:
            known.players = body.players
            self.save(known)
            return
        before = self.records.get(body.rematch_of)
        seeking = self.seeks.get(event.account)
        if offer is not None and offer.referee == event.account:
            record = self._known(body, event.topic, State.OFFERED)
            record.entropy, record.talk = offer.entropy, offer.talk
            record.consent = offer.wager is not None and offer.wager == body.wager
            offer.match = body.match
            self.save_offer(offer)
            if offer.talk:
                self.say(offer.talk, body)
        elif before is not None and before.referee == event.account:
            ours = self._shelf.account in body.players
            record = self._known(body, event.topic, State.ACCEPTED if ours else State.INVITED)
            record.talk, record.entropy = before.talk, before.entropy if ours else b""
        elif seeking is not None and _is_sought(seeking, body):
            record = self._found(event, body, seeking)
        else:
            return
        self.save(record)

    def _found(self, event: Received, body: G.Open, seeking: Seeking) -> Record:
        """The referee has found somebody: we wait at the table, or sit down at it, with fresh chance of ours."""
        ours = self._shelf.account in body.players
        record = self._known(body, event.topic, State.OFFERED if ours else State.ACCEPTED)
        record.entropy = seeking.entropy if ours else self._shelf.entropy(L.KEY_BYTES)
        self.save_seek(event.account, None)
        if not ours:
            self.say(event.topic, G.Accept(body.match, self.devices(), record.entropy))
        return record

    def _invited(self, event: Received, body: G.Open) -> None:
        """Somebody hands a table on to us; what it says counts only when the referee's genesis says the same."""
        if body.match in self.records or self._shelf.account in body.players:
            return
        record = self._known(body, pair_topic(self._shelf.account, body.referee), State.INVITED)
        record.talk = event.topic
        self.save(record)

    def _started(self, event: Received, body: G.Start) -> None:
        try:
            signed = decode_struct(body.genesis, Signed)
            genesis = open_signed(signed, Genesis)
        except (RemoteProtocolError, TranscriptError):
            return
        seat = next((at for at, one in enumerate(genesis.seats) if one.account == self._shelf.account), -1)
        known = self.records.get(genesis.match)
        if genesis.referee != event.account or seat < 0 or (known is not None and known.genesis):
            return
        record = known or self._from_genesis(genesis, event.topic)
        record.genesis, record.seat = body.genesis, seat
        record.first_seen = record.seen = body.seen
        record.players = tuple(one.account for one in genesis.seats)
        record.heard_ms, record.state = self._shelf.clock_ms(), State.PLAYING
        record.alarm = "" if known is None else _broken_terms(known, genesis)
        try:
            self.follow(record)
        except (MatchError, TranscriptError) as error:
            record.alarm = str(error)
        if record.alarm:
            self._alarm(record)
        self.save(record)

    def _from_genesis(self, genesis: Genesis, topic: bytes) -> Record:
        """A match that another device of ours has agreed on."""
        return Record(
            genesis.match, genesis.referee, topic, State.PLAYING, genesis.game, genesis.params, len(genesis.seats),
            format_spec(genesis.clock), genesis.rated, commitment=genesis.commitment, rematch_of=genesis.rematch_of,
            made_ms=self._shelf.clock_ms(),
        )  # fmt: skip

    def _closed(self, record: Record, body: G.Closed) -> None:
        if record.state in (*_LIVE, State.WATCHING) and record.state != State.PLAYING:
            record.state, record.reason = State.CLOSED, body.reason
            self.save(record)

    # -- while it is played --------------------------------------------------------------------------------------------
    def _entry(self, record: Record, body: G.Entry) -> None:
        if body.ply < record.plies or not record.genesis:
            return
        early = self._early.setdefault(record.match, {})
        early[body.ply] = body
        if record.plies not in early:
            self.say(record.topic, G.Fetch(record.match, record.plies))
            return
        while not record.alarm and (following := early.pop(record.plies, None)) is not None:
            self._append(record, following)
        if not early:
            del self._early[record.match]
        self.save(record)

    def _append(self, record: Record, body: G.Entry) -> None:
        following = self.follow(record)
        try:
            entry = decode_struct(body.entry, Entry)
            act = following.hear(entry, body.seen, body.salt, self._shelf.clock_ms())
        except (MatchError, RemoteProtocolError) as error:
            record.alarm = f"ply {body.ply}: {error}"
            self._alarm(record)
            return
        name = R.entry_name(record.match, record.plies)
        self._unwritten[name] = body.entry
        self._shelf.journal.put(R.ENTRIES, name, body.entry)
        self._shelf.journal.after(partial(self._written, name))
        record.plies += 1
        record.seen, record.heard_ms = following.seen, following.heard_ms
        self._after_entry(record, entry, act, following)

    def _written(self, name: bytes) -> None:
        self._unwritten.pop(name, None)

    def _after_entry(self, record: Record, entry: Entry, act: Act, following: Following) -> None:
        said = record.said
        ours = said is not None and entry.statement is not None and encode_struct(entry.statement) == said.signed
        if ours:
            record.said = None
        elif said is not None and said.ply < record.plies:
            self._again(record, said, following)
        self._reveal(record, following)

    def _again(self, record: Record, said: Said, following: Following) -> None:
        """Another entry took the place that we signed for: sign it anew, if it still makes sense."""
        record.said = None
        position = following.position(self._shelf.clock_ms())
        kind = Kind(said.kind)
        possible = {
            Kind.MOVE: said.action in position.legal or (not position.is_open and position.seat in position.turn),
            Kind.RESIGN: position.outcome is None,
            Kind.DRAW: position.outcome is None and position.draw_by is not None,
            Kind.COMMIT: position.seat in position.turn,
            Kind.REVEAL: bool(record.shape),
        }
        if possible.get(kind, False):
            self.sign_and_say(record, kind, said.action, draw=said.draw)
        else:
            record.refused = "overtaken: something else came first; look at the board and say it again"

    def _reveal(self, record: Record, following: Following) -> None:
        """In a simultaneous turn, when all have committed, show the move that we committed to."""
        match = following.match
        if match is None or not record.shape or record.said is not None or following.rules is None:
            return
        turn = following.rules.turn(match.state)
        if match.outcome is not None or not match.commits[record.seat]:
            record.shape = ""
        elif all(match.commits[seat] for seat in turn) and not match.reveals[record.seat]:
            self.sign_and_say(record, Kind.REVEAL, record.shape)

    def _refused(self, record: Record, body: G.Refused) -> None:
        """A duplicate is no news, and what was overtaken was dealt with when the other entry came."""
        said = record.said
        if body.fault in (Fault.DUPLICATE, Fault.STALE) and (said is None or said.ply != body.ply):
            return
        if said is not None and said.ply == body.ply and body.fault != Fault.DUPLICATE:
            record.said = None
        if not record.genesis and record.state == State.ACCEPTED:
            record.state, record.reason = State.CLOSED, body.text
        record.refused = f"{body.fault}: {body.text}"
        self.save(record)

    def _ended(self, record: Record, body: G.Result) -> None:
        if record.state != State.PLAYING:
            return
        record.state, record.points, record.reason = State.OVER, body.points, body.reason
        record.said, record.award = None, body.award
        following = self.follow(record)
        outcome = following.position(record.heard_ms).outcome
        if not record.alarm and (outcome is None or (outcome.points, outcome.reason) != (body.points, body.reason)):
            record.alarm = "the referee states another result than the log has"
        if not record.alarm:
            record.audit = following.audit()
        if record.alarm:
            self._alarm(record)
        self.save(record)

    def _alarm(self, record: Record) -> None:
        text = f"do not trust this referee in {record.game} {record.match.hex()[:8]}: {record.alarm}"
        self._shelf.journal.tell(Alarm(topic=record.topic, text=text))


def _is_sought(seeking: Seeking, body: G.Open) -> bool:
    sought = (seeking.game, seeking.params, 2, seeking.clock, seeking.rated, b"")
    return sought == (body.game, body.params, body.seats, body.clock, body.rated, body.rematch_of)


def _broken_terms(record: Record, genesis: Genesis) -> str:
    """What the genesis says otherwise than what was agreed; empty: nothing."""
    agreed = (record.game, record.params, record.seats, record.clock, record.rated, record.commitment)
    found = (
        genesis.game, genesis.params, len(genesis.seats), format_spec(genesis.clock), genesis.rated, genesis.commitment
    )  # fmt: skip
    if agreed != found:
        return "the match has begun on other terms than were agreed"
    if record.entropy and record.entropy not in genesis.entropy:
        return "the match has begun without our part of chance"
    return ""
