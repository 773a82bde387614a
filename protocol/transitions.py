"""The life of a connection as one table for both ends; the diagram in ``SPEC.md`` is drawn from it.

Rule 1.  A transition is keyed by state, by who sent the frame, and by its type. What is not in the table is forbidden:
         for the sender a ``LocalProtocolError``, for the receiver a ``RemoteProtocolError``.
Rule 2.  Both ends run the same table; neither knows a rule that the other does not.
Rule 3.  A client may send requests right behind its CONNECT; the relay reads them when the login is decided. So the
         first OK or ERR after a CONNECT answers the CONNECT.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from protocol.frames import REGISTRY


class Side(Enum):
    """Who sends."""

    RELAY = "relay"
    CLIENT = "client"

    @property
    def other(self) -> Side:
        """The peer."""
        return Side.CLIENT if self is Side.RELAY else Side.RELAY


class State(Enum):
    """Where a connection is."""

    OPEN = "open"  # the websocket is open; the relay greets first
    GREETED = "greeted"  # INFO was sent: the client has a nonce to sign
    LOGIN = "login"  # CONNECT was sent: the relay decides
    READY = "ready"  # logged in
    REFUSED = "refused"  # the login failed: only BYE may follow
    CLOSED = "closed"  # BYE was sent


_R, _C = Side.RELAY, Side.CLIENT
_NUMBER: Final = {frame.__name__.upper(): number for number, frame in REGISTRY.items()}


def _row(side: Side, names: str, target: State) -> dict[tuple[Side, int], State]:
    return {(side, _NUMBER[name]): target for name in names.split()}


_ALIVE: Final = "PING PONG"
_REQUESTS: Final = "SUB UNSUB PUB ACK REQ"
TRANSITIONS: Final[dict[State, dict[tuple[Side, int], State]]] = {
    State.OPEN: {
        **_row(_R, "INFO", State.GREETED),
        **_row(_R, "BYE", State.CLOSED),
        **_row(_C, "BYE", State.CLOSED),  # no INFO came in time
    },
    State.GREETED: {
        **_row(_C, "CONNECT", State.LOGIN),
        **_row(_C, _ALIVE, State.GREETED),
        **_row(_R, "INFO " + _ALIVE, State.GREETED),
        **_row(_R, "BYE", State.CLOSED),
        **_row(_C, "BYE", State.CLOSED),
    },
    State.LOGIN: {
        **_row(_R, "OK", State.READY),
        **_row(_R, "ERR", State.REFUSED),
        **_row(_R, "INFO " + _ALIVE, State.LOGIN),
        **_row(_C, _REQUESTS + " " + _ALIVE, State.LOGIN),
        **_row(_R, "BYE", State.CLOSED),
        **_row(_C, "BYE", State.CLOSED),
    },
    State.READY: {
        **_row(_R, "OK ERR INFO MSG LIVE GAP CLOSED EVT " + _ALIVE, State.READY),
        **_row(_C, _REQUESTS + " " + _ALIVE, State.READY),
        **_row(_R, "BYE", State.CLOSED),
        **_row(_C, "BYE", State.CLOSED),
    },
    State.REFUSED: {
        **_row(_R, "BYE", State.CLOSED),
        **_row(_C, "BYE", State.CLOSED),
        **_row(_C, _REQUESTS + " " + _ALIVE, State.REFUSED),  # was on the way when the login was refused
    },
    State.CLOSED: {},
}


def next_state(state: State, side: Side, number: int) -> State | None:
    """The state after ``side`` sent a frame of type ``number``; None if the table forbids it."""
    return TRANSITIONS[state].get((side, number))


def mermaid() -> str:
    """The table as a Mermaid state diagram (for ``SPEC.md``)."""
    name = {number: label for label, number in _NUMBER.items()}
    lines = ["stateDiagram-v2", "    [*] --> open"]
    for state, row in TRANSITIONS.items():
        arrows: dict[tuple[State, Side], list[str]] = {}
        for (side, number), target in row.items():
            arrows.setdefault((target, side), []).append(name[number])
        for (target, side), names in arrows.items():
            lines.append(f"    {state.value} --> {target.value}: {side.value} {' '.join(names)}")
    return "\n".join([*lines, "    closed --> [*]"])
