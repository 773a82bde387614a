"""Two sessions joined by a link that takes time: logins, refusals, silence, and everything a peer may do wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import msgpack
import pytest

from protocol import limits as L
from protocol.codec import encode_batch, encode_struct
from protocol.errors import Close, Code, LocalProtocolError, RemoteProtocolError
from protocol.frames import AnyFrame, Bye, Connect, Err, Frame, Info, Msg, Ok, Ping, Pong, Pub, Req, Sub
from protocol.session import Session
from protocol.transitions import Side, State
from tests.protocol.samples import ID, SAMPLES, TOPIC

F = TypeVar("F", bound=Frame)


def sample(name: str, type_: type[F]) -> F:
    frame = SAMPLES[name]
    assert isinstance(frame, type_)
    return frame


INFO, CONNECT = sample("INFO", Info), sample("CONNECT", Connect)
SUB, PUB, MSG = sample("SUB", Sub), sample("PUB", Pub), sample("MSG", Msg)


@dataclass
class Link:
    """Both ends of one connection; every message takes ``delay_ms``, in order."""

    delay_ms: int = 40
    now_ms: int = 1_000
    relay: Session = field(init=False)
    client: Session = field(init=False)
    heard: list[tuple[int, Side, AnyFrame]] = field(default_factory=list)
    _way: list[tuple[int, Session, bytes]] = field(default_factory=list)
    answers: bool = True

    def __post_init__(self) -> None:
        self.relay, self.client = Session(Side.RELAY, self.now_ms), Session(Side.CLIENT, self.now_ms)

    def put(self, sender: Session, data: bytes) -> None:
        receiver = self.client if sender is self.relay else self.relay
        self._way.append((self.now_ms + self.delay_ms, receiver, data))

    def send(self, sender: Session, *frames: AnyFrame) -> None:
        for frame in frames:
            self.put(sender, sender.send(frame))

    def deliver(self) -> None:
        """Let one message arrive; PINGs are answered."""
        self.now_ms, receiver, data = self._way.pop(0)
        for frame in receiver.receive(data, self.now_ms):
            self.heard.append((self.now_ms, receiver.side, frame))
            if isinstance(frame, Ping) and self.answers:
                self.send(receiver, Pong(frame.t))

    def settle(self) -> None:
        """Let everything arrive that is on its way."""
        while self._way:
            self.deliver()

    def run(self, until_ms: int) -> None:
        """Let time pass: messages arrive and both clocks are obeyed."""
        while True:
            clocks = [end.deadline_ms for end in (self.relay, self.client)]
            due = min([at for at, *_ in self._way] + [at for at in clocks if at is not None], default=until_ms + 1)
            if due > until_ms:
                self.now_ms = until_ms
                return
            if self._way and self._way[0][0] == due:
                self.deliver()
                continue
            self.now_ms = max(self.now_ms, due)
            for end in (self.relay, self.client):
                wanted = end.tick(self.now_ms)
                if wanted is not None:
                    self.send(end, wanted)

    def login(self) -> None:
        self.send(self.relay, INFO)
        self.settle()
        self.send(self.client, CONNECT)
        self.settle()
        self.send(self.relay, Ok(CONNECT.rid))
        self.settle()

    def frames(self, side: Side) -> list[AnyFrame]:
        return [frame for _, who, frame in self.heard if who is side]

    @property
    def states(self) -> tuple[State, State]:
        return self.relay.state, self.client.state


# -- the normal life --------------------------------------------------------------------------------------------------
def test_login_subscribe_publish_goodbye() -> None:
    link = Link()
    link.login()
    assert link.states == (State.READY, State.READY)
    link.send(link.client, SUB, PUB)
    link.settle()
    link.send(link.relay, Ok(SUB.rid), Ok(PUB.rid), MSG)
    link.settle()
    link.send(link.client, Bye(Close.RESTART))
    link.settle()
    assert link.states == (State.CLOSED, State.CLOSED)
    assert link.frames(Side.RELAY) == [CONNECT, SUB, PUB, Bye(Close.RESTART)]
    assert link.frames(Side.CLIENT) == [INFO, Ok(CONNECT.rid), Ok(SUB.rid), Ok(PUB.rid), MSG]


def test_requests_may_follow_the_connect_at_once() -> None:
    link = Link()
    link.send(link.relay, INFO)
    link.settle()
    link.send(link.client, CONNECT, SUB)
    began = link.now_ms
    link.settle()
    assert link.states == (State.LOGIN, State.LOGIN)
    link.send(link.relay, Ok(CONNECT.rid), Ok(SUB.rid))
    link.settle()
    assert link.states == (State.READY, State.READY)
    assert link.now_ms - began == 2 * link.delay_ms  # resume is one round trip


def test_connect_and_subscriptions_in_one_batch() -> None:
    relay = Session(Side.RELAY, 0)
    relay.send(INFO)
    assert relay.receive(encode_batch([CONNECT, SUB]), 0) == [CONNECT, SUB]
    assert relay.state is State.LOGIN


def test_batches_and_shared_bytes_are_noted_without_encoding() -> None:
    client = Session(Side.CLIENT, 0)
    client.receive(encode_struct(INFO), 0)
    client.sent([CONNECT, SUB])
    assert client.state is State.LOGIN
    with pytest.raises(LocalProtocolError, match="CONNECT from the client may not come in state login"):
        client.sent([CONNECT])


def test_a_refused_login_and_requests_that_were_on_their_way() -> None:
    link = Link()
    link.send(link.relay, INFO)
    link.settle()
    link.send(link.client, CONNECT)
    link.deliver()
    link.send(link.client, SUB, Ping(1))
    link.send(link.relay, Err(CONNECT.rid, Code.UNAUTHENTICATED), Bye(Close.LOGIN_FAILED, "", -1))
    link.settle()
    assert link.states == (State.CLOSED, State.CLOSED)
    assert link.frames(Side.CLIENT)[1:] == [Err(CONNECT.rid, Code.UNAUTHENTICATED), Bye(Close.LOGIN_FAILED, "", -1)]
    assert link.frames(Side.RELAY) == [CONNECT]  # what came after the BYE was dropped


def test_requests_before_the_bye_of_a_refusal_are_heard_and_change_nothing() -> None:
    relay = Session(Side.RELAY, 0)
    relay.send(INFO)
    relay.receive(encode_struct(CONNECT), 0)
    relay.send(Err(1, Code.UNAUTHENTICATED))
    assert relay.receive(encode_struct(SUB), 0) == [SUB]
    relay.send(Bye(Close.LOGIN_FAILED, "", -1))
    assert relay.state is State.CLOSED


def test_goodbyes_that_cross() -> None:
    link = Link()
    link.login()
    link.send(link.client, Bye(Close.RESTART))
    link.send(link.relay, Bye(Close.RESTART))
    link.settle()
    assert link.states == (State.CLOSED, State.CLOSED)
    with pytest.raises(LocalProtocolError, match="in state closed"):
        link.relay.send(MSG)


def test_whatever_arrives_after_a_goodbye_is_dropped_unread() -> None:
    client = Session(Side.CLIENT, 0)
    client.receive(encode_struct(Bye(Close.OVERLOAD)), 0)
    assert client.receive(b"\xc1 no frame", 5) == []


# -- signs of life ----------------------------------------------------------------------------------------------------
def has_no_clock(end: Session) -> bool:
    return end.deadline_ms is None and end.tick(10**15) is None


def test_silence_is_broken_by_a_ping_and_answered() -> None:
    link = Link()
    link.login()
    began = link.now_ms
    link.run(began + L.PING_INTERVAL_MS + 1000)
    assert link.states == (State.READY, State.READY)
    pings = [(at, side) for at, side, frame in link.heard if isinstance(frame, Ping)]
    assert pings[0] == (began - link.delay_ms + L.PING_INTERVAL_MS + link.delay_ms, Side.CLIENT)  # the relay was first
    assert any(isinstance(frame, Pong) for frame in link.frames(Side.RELAY))


def test_an_hour_of_silence_holds() -> None:
    link = Link()
    link.login()
    link.run(link.now_ms + 3_600_000)
    assert link.states == (State.READY, State.READY)
    pings = sum(isinstance(frame, Ping) for *_, frame in link.heard)
    assert 100 < pings < 300  # one end's PING is the other's sign of life


def test_any_traffic_counts_as_life() -> None:
    link = Link()
    link.login()
    for _ in range(10):
        link.run(link.now_ms + L.PING_INTERVAL_MS - 1000)
        link.send(link.client, PUB)
        link.send(link.relay, MSG)
        link.settle()
    assert not any(isinstance(frame, Ping) for *_, frame in link.heard)


def test_a_peer_that_does_not_answer_is_left() -> None:
    link = Link()
    link.login()
    link.answers = False
    heard_ms = link.now_ms
    assert link.client.deadline_ms == heard_ms + L.PING_INTERVAL_MS
    assert link.client.tick(heard_ms + L.PING_INTERVAL_MS - 1) is None
    assert link.client.tick(heard_ms + L.PING_INTERVAL_MS) == Ping(heard_ms + L.PING_INTERVAL_MS)
    deadline_ms = heard_ms + L.PING_INTERVAL_MS + L.PONG_TIMEOUT_MS
    assert link.client.deadline_ms == deadline_ms
    assert link.client.tick(deadline_ms - 1) is None
    bye = link.client.tick(deadline_ms)
    assert isinstance(bye, Bye)
    assert bye.code == Close.PING
    link.send(link.client, bye)
    assert has_no_clock(link.client)


def test_an_answer_in_the_last_moment_counts() -> None:
    link = Link()
    link.login()
    heard_ms = link.now_ms
    link.client.tick(heard_ms + L.PING_INTERVAL_MS)
    late_ms = heard_ms + L.PING_INTERVAL_MS + L.PONG_TIMEOUT_MS
    link.client.receive(encode_struct(Pong(0)), late_ms - 1)
    assert link.client.tick(late_ms) is None
    assert link.client.deadline_ms == late_ms - 1 + L.PING_INTERVAL_MS


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_login_that_never_comes_ends_in_a_goodbye_that_may_be_said(side: Side, steps: int) -> None:
    link = Link()
    script: list[tuple[Session, AnyFrame]] = [
        (link.relay, INFO),
        (link.client, CONNECT),
        (link.relay, Err(1, Code.UNAUTHENTICATED)),
    ]
    for sender, frame in script[:steps]:
        link.send(sender, frame)
        link.settle()
    end = link.relay if side is Side.RELAY else link.client
    assert end.deadline_ms == 1_000 + L.LOGIN_MS
    assert end.tick(1_000 + L.LOGIN_MS - 1) is None
    bye = end.tick(1_000 + L.LOGIN_MS)
    assert isinstance(bye, Bye)
    assert (bye.code, bye.reconnect_ms) == (Close.LOGIN_TIMEOUT, L.RECONNECT_MS_MIN)
    link.send(end, bye)
    link.settle()
    assert link.states == (State.CLOSED, State.CLOSED)


# -- mistakes ---------------------------------------------------------------------------------------------------------
MALFORMED = msgpack.packb([13, 9, TOPIC[:5], ID])


def at(state: State, side: Side = Side.RELAY) -> Session:
    session = Session(side, 0)
    session.state = state
    return session


def test_after_the_login_one_bad_request_is_refused_alone() -> None:
    relay = at(State.READY)
    with pytest.raises(RemoteProtocolError) as caught:
        relay.receive(MALFORMED, 0)
    assert (caught.value.fatal, caught.value.rid) == (False, 9)
    relay.send(Err(caught.value.rid, caught.value.code, caught.value.text))
    assert relay.receive(encode_struct(PUB), 0) == [PUB]


@pytest.mark.parametrize("state", [State.OPEN, State.GREETED, State.LOGIN, State.REFUSED])
def test_before_it_every_mistake_ends_the_connection(state: State) -> None:
    """An ERR for an early request would be taken for the answer to the CONNECT."""
    relay = at(state)
    with pytest.raises(RemoteProtocolError) as caught:
        relay.receive(MALFORMED, 0)
    assert caught.value.fatal
    relay.send(Bye(Close.PROTOCOL, caught.value.text, -1))


def test_a_malformed_answer_to_the_login_ends_it_too() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        at(State.LOGIN, Side.CLIENT).receive(msgpack.packb([4, 1, "no number"]), 0)
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("state", "side", "bound"),
    [
        (State.OPEN, Side.RELAY, L.LOGIN_BYTES_MAX),
        (State.GREETED, Side.RELAY, L.LOGIN_BYTES_MAX),
        (State.LOGIN, Side.RELAY, L.LOGIN_BUFFER_BYTES_MAX),
        (State.REFUSED, Side.RELAY, L.LOGIN_BUFFER_BYTES_MAX),
        (State.READY, Side.RELAY, L.MESSAGE_BYTES_MAX),
        (State.LOGIN, Side.CLIENT, L.MESSAGE_BYTES_MAX),
        (State.READY, Side.CLIENT, L.MESSAGE_BYTES_MAX),
    ],
)
def test_what_is_too_large_is_not_even_decoded(state: State, side: Side, bound: int) -> None:
    fits = b"\x92\x40\xc6" + (bound - 7).to_bytes(4, "big") + bytes(bound - 7)  # an extension: ignored when read
    assert at(state, side).receive(fits, 0) == []
    with pytest.raises(RemoteProtocolError, match=f"at most {bound}") as caught:
        at(state, side).receive(fits + b"\0", 0)
    assert (caught.value.fatal, caught.value.code) == (True, Code.TOO_LARGE)


def test_all_that_comes_during_a_login_has_one_bound_together() -> None:
    relay = at(State.LOGIN)
    batch = encode_batch([Req(1, "m")] * 256)
    times = L.LOGIN_BUFFER_BYTES_MAX // len(batch)
    for _ in range(times):
        assert len(relay.receive(batch, 0)) == 256
    with pytest.raises(RemoteProtocolError) as caught:
        relay.receive(batch, 0)
    assert (caught.value.fatal, caught.value.code) == (True, Code.TOO_LARGE)


def test_a_batch_that_breaks_the_table_in_the_middle_is_fatal() -> None:
    relay = at(State.GREETED)
    with pytest.raises(RemoteProtocolError, match="CONNECT from the client may not come in state login") as caught:
        relay.receive(encode_batch([CONNECT, CONNECT]), 0)
    assert caught.value.fatal


def test_extension_frames_pass_in_every_state() -> None:
    for state in State:
        assert at(state).receive(msgpack.packb([64, "anything"]), 0) == []
