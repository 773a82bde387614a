"""Whatever arrives at either end of a connection, only ``RemoteProtocolError`` escapes, and what passes is sound."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec
from protocol.errors import RemoteProtocolError
from protocol.frames import CLIENT_FRAMES, RELAY_FRAMES, AccessChange, WelcomeHeader
from protocol.requests import EVENTS, METHODS
from protocol.session import Session
from protocol.transitions import Side, State
from tests.fuzz.mutations import mutated, outcome, packed, values
from tests.protocol.bad_input import FATAL, MALFORMED
from tests.protocol.samples import SAMPLES, from_client, plain

GOOD = [codec.encode_struct(frame) for frame in SAMPLES.values()]
BATCHES = [codec.encode_batch([one, two]) for one in SAMPLES.values() for two in SAMPLES.values() if from_client(two)]
CORPUS = [*GOOD, *BATCHES, *FATAL.values(), *(data for data, _ in MALFORMED.values())]

looks_right = st.tuples(st.integers(0, 70), st.lists(values(), max_size=13)).map(lambda parts: [parts[0], *parts[1]])
messages = st.one_of(
    st.binary(max_size=80),
    mutated(CORPUS),
    values().map(packed),
    looks_right.map(packed),
    st.lists(looks_right, max_size=4).map(packed),
)


def check(data: bytes, client: bool) -> None:
    frames = outcome(codec.decode_frames, data, from_client=client)
    if isinstance(frames, RemoteProtocolError):
        assert 0 < len(frames.text) < 400
        assert frames.fatal or frames.rid >= 0
        return
    allowed = CLIENT_FRAMES if client else RELAY_FRAMES
    for frame in frames:
        assert codec.frame_type(frame) in allowed
        again = codec.encode_struct(frame)
        assert codec.decode_frames(again, from_client=client) == [frame]
        assert msgpack.unpackb(again, strict_map_key=False) == plain(frame)


@given(messages, st.booleans())
def test_frames(data: bytes, client: bool) -> None:
    check(data, client)


@given(st.lists(messages, min_size=1, max_size=4), st.sampled_from(Side), st.sampled_from(State))
def test_sessions(arriving: list[bytes], side: Side, state: State) -> None:
    session = Session(side, 0)
    session.state = state
    for data in arriving:
        found = outcome(session.receive, data, 1)
        if isinstance(found, RemoteProtocolError) and found.fatal:
            return


@given(
    st.one_of(values().map(packed), mutated([codec.encode_struct(AccessChange(((bytes(32), 1),))), *GOOD])),
    st.sampled_from([AccessChange, WelcomeHeader, *METHODS.values(), *EVENTS.values()]),
)
def test_structures(data: bytes, type_: type[Any]) -> None:
    value = outcome(codec.decode_struct, data, type_)
    if isinstance(value, RemoteProtocolError):
        assert not value.fatal
    else:
        assert codec.decode_struct(codec.encode_struct(value), type_) == value
