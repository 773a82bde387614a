"""The table is complete, and both ends obey it: every (state, side, frame) is either in it or refused by both."""

from __future__ import annotations

from itertools import product

import pytest

from protocol.codec import encode_struct, frame_type
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import CLIENT_FRAMES, REGISTRY, RELAY_FRAMES, AnyFrame
from protocol.session import Session
from protocol.transitions import TRANSITIONS, Side, State, mermaid, next_state
from tests.protocol.samples import SAMPLES, name_of

EXAMPLE: dict[int, AnyFrame] = {frame_type(frame): frame for frame in SAMPLES.values()}
ALL = list(product(State, Side, REGISTRY))

# The same table a second time, written down by hand from the rules: who may send what, and where it leads.
ALIVE = {"PING", "PONG"}
REQUESTS = {"SUB", "UNSUB", "PUB", "ACK", "REQ"}
NEWS = {"OK", "ERR", "INFO", "MSG", "LIVE", "GAP", "CLOSED", "EVT"}
ALLOWED: dict[tuple[State, Side], set[str]] = {
    (State.OPEN, Side.RELAY): {"INFO", "BYE"},
    (State.OPEN, Side.CLIENT): {"BYE"},
    (State.GREETED, Side.RELAY): {"INFO", "BYE"} | ALIVE,
    (State.GREETED, Side.CLIENT): {"CONNECT", "BYE"} | ALIVE,
    (State.LOGIN, Side.RELAY): {"OK", "ERR", "INFO", "BYE"} | ALIVE,
    (State.LOGIN, Side.CLIENT): {"BYE"} | REQUESTS | ALIVE,
    (State.READY, Side.RELAY): {"BYE"} | NEWS | ALIVE,
    (State.READY, Side.CLIENT): {"BYE"} | REQUESTS | ALIVE,
    (State.REFUSED, Side.RELAY): {"BYE"},
    (State.REFUSED, Side.CLIENT): {"BYE"} | REQUESTS | ALIVE,
    (State.CLOSED, Side.RELAY): set(),
    (State.CLOSED, Side.CLIENT): set(),
}
MOVES = {
    (State.OPEN, "INFO"): State.GREETED,
    (State.GREETED, "CONNECT"): State.LOGIN,
    (State.LOGIN, "OK"): State.READY,
    (State.LOGIN, "ERR"): State.REFUSED,
}


def expected(state: State, side: Side, number: int) -> State | None:
    name = REGISTRY[number].__name__.upper()
    if name not in ALLOWED[state, side]:
        return None
    return State.CLOSED if name == "BYE" else MOVES.get((state, name), state)


@pytest.mark.parametrize(("state", "side", "number"), ALL)
def test_the_table_and_both_ends_agree(state: State, side: Side, number: int) -> None:
    target = expected(state, side, number)
    assert next_state(state, side, number) is target
    sender, receiver = Session(side, 0), Session(side.other, 0)
    sender.state = receiver.state = state
    if target is None:
        with pytest.raises(LocalProtocolError, match=f"from the {side.value} may not come"):
            sender.send(EXAMPLE[number])
        assert sender.state is state
    else:
        sender.send(EXAMPLE[number])
        assert sender.state is target
    data = encode_struct(EXAMPLE[number])
    if state is State.CLOSED:
        assert receiver.receive(data, 0) == []  # it was on the way
    elif target is None:
        with pytest.raises(RemoteProtocolError) as caught:
            receiver.receive(data, 0)
        assert caught.value.fatal
        assert receiver.state is state
    else:
        assert receiver.receive(data, 0) == [EXAMPLE[number]]
        assert receiver.state is target


def test_nobody_sends_what_is_not_theirs_in_any_state() -> None:
    for row in TRANSITIONS.values():
        for side, number in row:
            assert number in (CLIENT_FRAMES if side is Side.CLIENT else RELAY_FRAMES)


def test_every_frame_has_its_place_and_every_state_is_reached_and_left() -> None:
    assert {number for row in TRANSITIONS.values() for _, number in row} == set(REGISTRY)
    reached = {target for row in TRANSITIONS.values() for target in row.values()} | {State.OPEN}
    assert reached == set(TRANSITIONS) == set(State)
    for state, row in TRANSITIONS.items():
        assert (State.CLOSED in row.values()) is (state is not State.CLOSED)


def test_what_a_client_may_send_never_depends_on_what_it_cannot_know() -> None:
    """While the relay decides, a client that has heard nothing goes on sending: no decision may make that a crime."""
    sent = {number for side, number in TRANSITIONS[State.LOGIN] if side is Side.CLIENT}
    for decided in (State.READY, State.REFUSED):
        assert sent <= {number for side, number in TRANSITIONS[decided] if side is Side.CLIENT}


def test_sides() -> None:
    assert Side.RELAY.other is Side.CLIENT
    assert Side.CLIENT.other is Side.RELAY


def test_the_diagram_shows_every_transition() -> None:
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> open"]
    assert lines[-1] == "    closed --> [*]"
    drawn = set()
    for line in lines[2:-1]:
        arrow, text = line.strip().split(": ")
        start, _, target = arrow.split(" ")
        side, *names = text.split(" ")
        drawn |= {(start, target, side, name) for name in names}
    assert drawn == {
        (state.value, target.value, side.value, name_of(EXAMPLE[number]))
        for state, row in TRANSITIONS.items()
        for (side, number), target in row.items()
    }
