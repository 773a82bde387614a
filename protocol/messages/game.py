"""``game.*``: how a match is agreed on, played and told, between players and the referee.

What counts is what is signed inside (``protocol.transcript``): ``signed`` is a packed ``Signed`` statement, ``entry`` a
packed ``Entry``. The type of the message only says what its statement is about, so that clients and notices need not
open it; the referee refuses a statement of another kind.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from protocol import limits as L
from protocol.frames import Digest, Int, Key, UInt
from protocol.messages.registry import Body, register
from protocol.wagers import Wager

GameName = Annotated[str, Meta(min_length=1, max_length=L.GAME_NAME_CHARS_MAX)]
Value = Int | Annotated[str, Meta(max_length=L.GAME_VALUE_CHARS_MAX)]
Params = Annotated[tuple[tuple[GameName, Value], ...], Meta(max_length=L.GAME_PARAMETERS_MAX)]
ClockText = Annotated[str, Meta(min_length=1, max_length=32)]  # as `protocol.rules.clocks.parse_spec` reads it
Devices = Annotated[tuple[Key, ...], Meta(min_length=1, max_length=L.DEVICES_MAX)]
SignedBytes = Annotated[bytes, Meta(min_length=1, max_length=L.GAME_SIGNED_BYTES_MAX)]
Seen = Annotated[bytes, Meta(max_length=L.GAME_OBSERVATION_BYTES_MAX)]
Seats = Annotated[int, Meta(ge=1, le=L.GAME_SEATS_MAX)]
Ply = Annotated[int, Meta(ge=0, le=L.GAME_PLIES_MAX)]
Reason = Annotated[str, Meta(max_length=L.TEXT_BYTES_MAX)]


@register("game.offer")
class Offer(Body, frozen=True, kw_only=True):
    """To the referee: open a table. ``wish``: 0 any seat, 1 the first, 2 the last; ``invited`` empty: whoever comes.

    ``life_ms`` 0: as long as offers may stand.
    """

    game: GameName
    params: Params = ()
    seats: Seats
    clock: ClockText
    rated: bool = False
    wish: Annotated[int, Meta(ge=0, le=2)] = 0
    invited: Annotated[tuple[Key, ...], Meta(max_length=L.GAME_SEATS_MAX)] = ()
    life_ms: Annotated[int, Meta(ge=0, le=L.GAME_OFFER_MS)] = 0
    devices: Devices
    entropy: Key
    wager: Wager | None = None  # what each player puts in


@register("game.table")
class Open(Body, frozen=True, kw_only=True):
    """By the referee: a table waits for players. ``commitment`` is to the seed, made before anybody accepts.

    Whoever offered hands it on to those who are invited, in the people's own conversation: the referee begins none.
    """

    match: Key
    referee: Key
    commitment: Key
    game: GameName
    params: Params = ()
    seats: Seats
    clock: ClockText
    rated: bool = False
    players: Annotated[tuple[Key, ...], Meta(max_length=L.GAME_SEATS_MAX)]
    until_ms: UInt
    rematch_of: Digest = b""  # asked for by the players so far: the others take it with `game.rematch`
    wager: Wager | None = None  # whoever accepts agrees to put it in


@register("game.accept")
class Accept(Body, frozen=True):
    """Take an offer."""

    match: Key
    devices: Devices
    entropy: Key


@register("game.decline")
class Decline(Body, frozen=True):
    """Refuse an offer, or take one's own back."""

    match: Key


@register("game.start")
class Start(Body, frozen=True):
    """By the referee: the match begins; its signed genesis, and what you see before the first entry."""

    genesis: SignedBytes
    seen: Seen = b""


class Statement(Body, frozen=True):
    """Base of what a player says in a match."""

    match: Key
    signed: SignedBytes


@register("game.move")
class Move(Statement, frozen=True):
    """A move, perhaps with the offer of a draw."""


@register("game.commit")
class Commit(Statement, frozen=True):
    """The hash of a move, where all move at the same time."""


@register("game.reveal")
class Reveal(Statement, frozen=True):
    """The move that was committed to, and its salt."""


@register("game.resign")
class Resign(Statement, frozen=True):
    """Give up."""


@register("game.draw")
class Draw(Statement, frozen=True):
    """Offer a draw, or accept the one that is offered."""


@register("game.refuse")
class Refuse(Statement, frozen=True):
    """Refuse the draw or the take-back that is asked for."""


@register("game.claim")
class Claim(Statement, frozen=True):
    """Claim a draw that the rules give."""


@register("game.takeback")
class Takeback(Statement, frozen=True):
    """Ask to take the last own move back, or grant it."""


@register("game.abort")
class Abort(Statement, frozen=True):
    """No game: before everybody has moved."""


@register("game.seek")
class Seek(Body, frozen=True, kw_only=True):
    """To the referee: find me an opponent of about my strength; or (``off``) do so no more. One at a time.

    Whoever is found first gets a ``game.table``; so does the other one, who takes it with ``game.accept``.
    """

    game: GameName
    params: Params = ()
    clock: ClockText
    rated: bool = False
    off: bool = False
    devices: Devices
    entropy: Key


@register("game.fetch")
class Fetch(Body, frozen=True):
    """To the referee: the genesis and the entries from a ply on, for a player who lacks them."""

    match: Key
    ply: Ply = 0


@register("game.watch")
class Watch(Body, frozen=True):
    """To the referee: show me what everybody may see of a match, late; or no more."""

    match: Key
    off: bool = False


@register("game.closed")
class Closed(Body, frozen=True):
    """By the referee: an offer is off, or there is nothing more to watch."""

    match: Key
    reason: Reason


@register("game.entry")
class Entry(Body, frozen=True, kw_only=True):
    """By the referee: an entry of the log, and what you see now; ``salt`` opens your digest where things are hidden."""

    match: Key
    ply: Ply
    entry: SignedBytes
    seen: Seen = b""
    salt: Annotated[bytes, Meta(max_length=L.KEY_BYTES)] = b""


@register("game.shown")
class Shown(Body, frozen=True):
    """By the referee, to spectators, later: what everybody may see."""

    match: Key
    game: GameName
    ply: Ply
    seen: Seen


@register("game.refused")
class Refused(Body, frozen=True):
    """By the referee: what you sent does not count; ``fault`` is one of ``protocol.match.Fault``."""

    match: Key
    ply: Ply
    fault: Annotated[str, Meta(max_length=32)]
    text: Reason = ""


@register("game.cheat")
class Cheat(Body, frozen=True):
    """By the referee: two statements for one ply, which prove by themselves that a device cheated."""

    match: Key
    one: SignedBytes
    other: SignedBytes


@register("game.result")
class Result(Body, frozen=True):
    """By the referee: how it ended; ``points`` by seat (2 won, 1 draw, 0 lost), none if it was aborted."""

    match: Key
    points: Annotated[tuple[Annotated[int, Meta(ge=0, le=2)], ...], Meta(max_length=L.GAME_SEATS_MAX)]
    reason: Reason
    link: Key  # of the last entry: a transcript that ends with it is whole
    award: Annotated[bytes, Meta(max_length=L.GAME_AWARD_BYTES_MAX)] = b""  # for settlement, where there was a stake


@register("game.rating")
class Rating(Body, frozen=True, kw_only=True):
    """By the referee: what a rated match has made of a rating; in thousandths, so that no float travels."""

    match: Key
    account: Key
    pool: GameName
    rating: Int
    deviation: UInt
    games: UInt


@register("game.rematch")
class Rematch(Body, frozen=True):
    """Once more, everybody one seat further."""

    match: Key
    devices: Devices
    entropy: Key


#: What kind (``protocol.match.Kind``) the statement of each message must have.
KIND_OF: Final[dict[type[Statement], int]] = {
    Move: 1, Resign: 2, Draw: 3, Refuse: 4, Claim: 5, Takeback: 6, Abort: 7, Commit: 8, Reveal: 9,
}  # fmt: skip
