"""One connection without I/O: bytes in, frames out, for both roles. Time is an argument.

::

    session = Session(Side.CLIENT, now_ms)
    for frame in session.receive(message, now_ms): ...
    await websocket.send_message(session.send(Ping(now_ms)))
    bye_or_ping = session.tick(now_ms)      # call at session.deadline_ms
"""

from __future__ import annotations

from protocol import limits as L
from protocol.codec import decode_frames, decode_publish, encode_struct, frame_type
from protocol.errors import Close, Code, LocalProtocolError, RemoteProtocolError
from protocol.frames import AnyFrame, Bye, Frame, Ping, Pub
from protocol.transitions import Side, State, next_state


class Session:
    """State of one connection, seen from ``side``."""

    __slots__ = ("_early_bytes", "_heard_ms", "_opened_ms", "_pinged_ms", "side", "state")

    def __init__(self, side: Side, now_ms: int) -> None:
        self.side = side
        self.state = State.OPEN
        self._opened_ms = now_ms
        self._heard_ms = now_ms
        self._pinged_ms: int | None = None
        self._early_bytes = 0  # received while the login is being decided

    def receive(self, data: bytes, now_ms: int) -> list[AnyFrame]:
        """The frames of one websocket message, each checked against the table.

        Raises ``RemoteProtocolError``: fatal unless only one frame of a known type was malformed after the login
        (before it there is no ERR: the first one would be taken for the login's answer). Frames after CLOSED are
        dropped silently: they were on the way.
        """
        self._heard_ms = now_ms
        self._pinged_ms = None
        if self.state is State.CLOSED:
            return []
        self._check_size(len(data))
        try:
            frames = decode_frames(data, from_client=self.side is Side.RELAY)
        except RemoteProtocolError as error:
            error.fatal = error.fatal or self.state is not State.READY
            raise
        for frame in frames:
            self._step(self.side.other, frame)
        return frames

    def receive_publish(self, data: bytes, now_ms: int) -> Pub | None:
        """What ``receive`` gives for a message that is one PUB after the login, in a fraction of the time.

        None: it is something else, or something is wrong with it. Nothing was noted then; ask ``receive``.
        """
        if self.state is not State.READY or self.side is not Side.RELAY or len(data) > L.MESSAGE_BYTES_MAX:
            return None
        frame = decode_publish(data)
        if frame is not None:
            self._heard_ms = now_ms
            self._pinged_ms = None
        return frame

    def _check_size(self, size: int) -> None:
        """Before decoding: a message has a bound, and a smaller one as long as nobody knows who sent it."""
        bound = L.MESSAGE_BYTES_MAX
        if self.side is Side.RELAY and self.state is not State.READY:
            if self.state in (State.OPEN, State.GREETED):
                bound = L.LOGIN_BYTES_MAX
            else:
                bound = L.LOGIN_BUFFER_BYTES_MAX - self._early_bytes
                self._early_bytes += size
        if size > bound:
            text = f"{size} bytes in state {self.state.value}; at most {bound}"
            raise RemoteProtocolError(text, code=Code.TOO_LARGE)

    def send(self, frame: Frame) -> bytes:
        """Encode a frame that this side sends. Raises ``LocalProtocolError`` if the table forbids it now."""
        self._step(self.side, frame)
        return encode_struct(frame)

    def sent(self, frames: list[AnyFrame]) -> None:
        """Note frames that were encoded elsewhere (batches, shared MSG bytes)."""
        for frame in frames:
            self._step(self.side, frame)

    def _step(self, sender: Side, frame: Frame) -> None:
        target = next_state(self.state, sender, frame_type(frame))
        if target is None:
            text = f"{type(frame).__name__.upper()} from the {sender.value} may not come in state {self.state.value}"
            if sender is self.side:
                raise LocalProtocolError(text)
            raise RemoteProtocolError(text)
        self.state = target

    # -- signs of life -------------------------------------------------------------------------------------------------
    @property
    def deadline_ms(self) -> int | None:
        """When ``tick`` should be called next; None: never (closed)."""
        if self.state is State.CLOSED:
            return None
        if self.state is not State.READY:
            return self._opened_ms + L.LOGIN_MS
        if self._pinged_ms is not None:
            return self._pinged_ms + L.PONG_TIMEOUT_MS
        return self._heard_ms + L.PING_INTERVAL_MS

    def tick(self, now_ms: int) -> Ping | Bye | None:
        """What the clock asks for: a PING after silence, a BYE when nothing came back or no login was made."""
        deadline = self.deadline_ms
        if deadline is None or now_ms < deadline:
            return None
        if self.state is not State.READY:
            return Bye(Close.LOGIN_TIMEOUT, "no login in time; reconnect", L.RECONNECT_MS_MIN)
        if self._pinged_ms is not None:
            return Bye(Close.PING, "no sign of life; reconnect and resume", L.RECONNECT_MS_MIN)
        self._pinged_ms = now_ms
        return Ping(now_ms)
