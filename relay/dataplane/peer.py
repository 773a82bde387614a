"""One connection of the data plane: its socket, what waits to be sent, and how far it has come."""

from __future__ import annotations

from socket import SHUT_WR, socket
from typing import Final

from protocol import limits as L
from protocol.errors import CLOSES, Close
from protocol.websocket import Accepted, CloseCode, Opening, Refused, Request, Server, State, Text
from relay import bounds as B
from relay import log
from relay.admission.why import Why
from relay.dataplane.driver import AGAIN, Driver, Stage
from relay.dataplane.outbox import Outbox
from relay.seam import Handler

_TOO_LARGE: Final = (414, 431)
_TIMEOUT: Final = Refused(408, "the request did not come in time").response()


class Peer(Outbox):
    """A ``seam.Peer``. Made and driven by ``Plane``; nothing here waits."""

    __slots__ = (
        "_began_ms", "_control_ms", "_controls", "_counted", "_due_ms", "_heard_ms", "_held", "_last_bytes",
        "_midway_bytes", "_opening", "_paused_ms", "endpoint", "handler", "is_reading",
    )  # fmt: skip

    def __init__(self, plane: Driver[Peer], sock: socket, address: str, *, is_tls: bool) -> None:
        super().__init__(plane, sock, address, Stage.HANDSHAKE if is_tls else Stage.HEAD)
        self.endpoint: Server | None = None
        self.handler: Handler | None = None
        self.is_reading = True
        self._held: list[bytes] | None = None  # messages that wait until earlier answers are written
        self._opening: Opening | None = None
        self._due_ms = plane.now_ms + plane.settings.handshake_ms  # of the stage; 0: none
        self._began_ms = 0  # when the message that is under way began; 0: none is
        self._heard_ms = 0
        self._midway_bytes = 0
        self._paused_ms = 0  # until when nothing is read; 0: it is
        self._last_bytes = 0  # read since our close frame
        self._control_ms = 0  # a second of control frames began here, with `_controls` of them before it
        self._controls = 0
        self._counted = 0  # of them up to the last look

    # -- seam.Peer -----------------------------------------------------------------------------------------------------
    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """Send the goodbye and a close frame; the socket is closed when the peer has answered, or soon."""
        endpoint = self.endpoint
        if self.stage is not Stage.OPEN or endpoint is None:
            return
        if goodbye:
            self.send_nowait(goodbye)
        endpoint.close(code, reason)
        self._append(endpoint.outgoing())
        self.stage = Stage.CLOSING
        self._expect_within(B.CLOSE_MS)

    def pause_nowait(self, span_ms: int) -> None:
        """Read nothing for a while: whoever goes on all the same is held up by TCP, and costs nobody anything."""
        if self.stage is Stage.OPEN:
            until_ms = self._plane.now_ms + span_ms
            if not self._paused_ms:
                self._stop_reading()
                self._plane.wake_at(until_ms, self)
            self._paused_ms = max(self._paused_ms, until_ms)

    def on_pause_over(self) -> None:
        """The time of ``pause_nowait`` has come, if it was not made longer meanwhile."""
        if self._paused_ms > self._plane.now_ms:
            self._plane.wake_at(self._paused_ms, self)
        else:
            self._paused_ms = 0
            self._go_on()

    def login_decided_nowait(self) -> None:
        """From now on the limits of a session hold."""
        if self.endpoint is not None:
            self.endpoint.message_bytes_max = L.MESSAGE_BYTES_MAX

    # -- time ----------------------------------------------------------------------------------------------------------
    def _expect_within(self, span_ms: int) -> None:
        self._due_ms = self._plane.now_ms + span_ms
        self._plane.watch(self)

    def is_timed(self) -> bool:
        """Whether something has a deadline; the plane looks at those once a second."""
        return bool(self._due_ms or self._blocked_ms or (self._began_ms and self.is_reading))

    def on_second(self, now_ms: int) -> None:
        """End what takes too long."""
        settings = self._plane.settings
        if self._due_ms and now_ms >= self._due_ms:
            self._overdue()
        elif self._blocked_ms and now_ms - self._blocked_ms >= settings.stalled_ms:
            self._plane.counters.closes[Close.SLOW] += 1  # nothing can be said to a socket that takes nothing
            log.debug("stalled", address=self.address)
            self.drop()
        elif self._began_ms and self.is_reading and self.stage is Stage.OPEN:
            allowed_ms = settings.frame_ms + self._midway_bytes * 1000 // L.FRAME_BYTES_PER_S
            if now_ms - self._heard_ms >= settings.frame_ms or now_ms - self._began_ms >= allowed_ms:
                self._plane.counters.refusals[Why.PARTIAL] += 1
                self._plane.counters.closes[Close.PARTIAL] += 1
                log.debug("partial", address=self.address)
                self.close_nowait(Close.PARTIAL, CLOSES[Close.PARTIAL])

    def _overdue(self) -> None:
        if self.stage is Stage.HEAD:
            self._plane.counters.refused_handshakes += 1
            self._answer(_TIMEOUT)
        elif self.stage is Stage.HANDSHAKE:
            self._plane.counters.refused_handshakes += 1
            self.drop()
        else:
            self.drop()

    # -- reading on ----------------------------------------------------------------------------------------------------
    def _go_on(self) -> None:
        """Deliver what is held back, and read on, unless there is still a reason not to."""
        held, handler = self._held, self.handler
        if held is not None and handler is not None and self._may_read():
            self._held = None
            self._deliver(held, handler)
        if self.stage is Stage.OVER:
            return
        self.is_writing = self.is_blocked
        if not self.is_reading and self._held is None and self._may_read():
            self.is_reading = True
            self._began_ms = self._began_ms and self._plane.now_ms
            self._heard_ms = self._plane.now_ms
        self._plane.register(self)

    def _may_read(self) -> bool:
        if self.stage >= Stage.CLOSING:
            return self._last_bytes <= B.LINGER_BYTES
        return not self._paused_ms and self.buffered_bytes <= self._plane.bound

    def _stop_reading(self) -> None:
        if self.is_reading:
            self.is_reading = False
            self._plane.register(self)

    def _writable(self) -> None:
        self._was_full = False
        if self.handler is not None and self.stage is Stage.OPEN:
            self.handler.on_writable()

    # -- reading -------------------------------------------------------------------------------------------------------
    def on_readable(self) -> None:
        """Epoll says that there are bytes, or the end of them: one read."""
        try:
            data = self.sock.recv(B.READ_BYTES)
        except AGAIN:
            return
        except OSError:
            self.drop()
            return
        if not data:
            self._ended_by_peer()
        elif self.stage is Stage.OPEN:
            self._websocket(data)
        elif self.stage is Stage.HEAD:
            self._head(data)
        else:
            self._last(data)

    def _websocket(self, data: bytes) -> None:
        endpoint, handler = self.endpoint, self.handler
        if endpoint is None or handler is None:
            return
        messages = endpoint.receive(data)
        if messages:
            self._deliver(messages, handler)
        if endpoint.is_quiet:
            self._began_ms = 0
        else:
            self._unfinished(endpoint, len(data), new=bool(messages))

    def _last(self, data: bytes) -> None:
        """What comes after our close frame: only the peer's own counts, and not much is looked through for it."""
        self._last_bytes += len(data)
        if self._last_bytes > B.LINGER_BYTES:
            self._stop_reading()
        elif self.stage is Stage.CLOSING:
            self._websocket(data)

    def _deliver(self, messages: list[bytes], handler: Handler) -> None:
        """Hand messages up, as long as their answers have room (rule 2 of the seam)."""
        bound = 2 * self._plane.bound
        for place, message in enumerate(messages):
            if self.buffered_bytes > bound:
                self.flush()
            if self.stage is not Stage.OPEN:
                return  # something in an earlier one has ended the connection
            if self.buffered_bytes > bound or self._paused_ms:
                self._held = messages[place:]
                self._stop_reading()
                return
            if type(message) is Text:
                handler.on_text()
            else:
                handler.on_message(message)

    def _unfinished(self, endpoint: Server, size: int, *, new: bool) -> None:
        """A message is under way, the endpoint has something to say, or the connection has ended."""
        if self.stage is Stage.OVER:
            return
        reply = endpoint.outgoing()
        if reply:
            self._append(reply)
            self._count_controls(endpoint)
        if endpoint.state is State.CLOSED:
            self._closed(endpoint)
            return
        if not endpoint.is_midway:
            self._began_ms = 0
            return
        now_ms = self._plane.now_ms
        if new or not self._began_ms:
            self._began_ms, self._midway_bytes = now_ms, 0
            self._plane.watch(self)
        self._midway_bytes += size
        self._heard_ms = now_ms

    def _count_controls(self, endpoint: Server) -> None:
        """Pings cost us more than the peer: beyond a rate they end the connection."""
        now_ms = self._plane.now_ms
        before, self._counted = self._counted, endpoint.control_frames
        if now_ms - self._control_ms >= 1000:
            self._control_ms, self._controls = now_ms, before
        if endpoint.control_frames - self._controls > B.CONTROLS_PER_S and self.stage is Stage.OPEN:
            self._plane.counters.refusals[Why.FLOOD] += 1
            self.close_nowait(CloseCode.POLICY, f"more than {B.CONTROLS_PER_S} control frames in a second")

    def _closed(self, endpoint: Server) -> None:
        """The close handshake is over, or there is nothing to wait for after an error."""
        if endpoint.failure is not None and endpoint.failure.code == CloseCode.SIZE:
            self._plane.counters.refusals[Why.OVERSIZE] += 1
        self._end()

    # -- the HTTP head -------------------------------------------------------------------------------------------------
    def _head(self, data: bytes) -> None:
        if self._opening is None:
            self._opening = Opening(self._plane.policy)
        found = self._opening.receive(data)
        if found is None:
            return
        self._opening = None
        if isinstance(found, Accepted):
            self._open(found)
        elif isinstance(found, Refused):
            self._refuse(found)
        else:
            self._plain(found)

    def _open(self, accepted: Accepted) -> None:
        self._append(accepted.response())
        self.endpoint = Server(message_bytes_max=L.LOGIN_BUFFER_BYTES_MAX, accepts_text=True)
        self.stage = Stage.OPEN
        self._due_ms = 0
        self.handler = self._plane.accept(self)
        if accepted.rest:
            self._websocket(accepted.rest)

    def _plain(self, request: Request) -> None:
        """Plain HTTP: a service takes the socket over, or there is nothing here."""
        if not self._plane.hand_over(self, request):
            self._refuse(self._plane.not_found(request))

    def _refuse(self, refused: Refused) -> None:
        self._plane.counters.refused_handshakes += 1
        if refused.status in _TOO_LARGE:
            self._plane.counters.refusals[Why.OVERSIZE] += 1
        self._answer(refused.response())

    def _answer(self, response: bytes) -> None:
        """The last bytes of this connection."""
        self._append(response)
        self._end()

    # -- the end -------------------------------------------------------------------------------------------------------
    def _end(self) -> None:
        """Send what waits, then our end of the stream; the peer's is awaited for a moment."""
        self._leave_handler()
        self._held = None
        self.stage = Stage.ENDING
        self._began_ms = 0
        self._expect_within(B.CLOSE_MS)
        if self._out is None:
            self._flushed()

    def _flushed(self) -> None:
        """Everything is with the kernel, and nothing will follow."""
        if self.stage is not Stage.ENDING:
            return
        endpoint = self.endpoint
        if endpoint is not None and endpoint.failure is None and endpoint.received_code is not None:
            self.drop()  # both close frames are exchanged: the server ends TCP first (RFC 6455, section 7.1.1)
            return
        try:
            self.sock.shutdown(SHUT_WR)
        except OSError:
            self.drop()

    def _ended_by_peer(self) -> None:
        """The peer's stream has ended. What waits is still sent, if it takes that."""
        if self.stage is Stage.ENDING and self._out is not None and not self.is_blocked:
            self.flush()
        self.drop()

    def _leave_handler(self) -> None:
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_closed()

    def drop(self) -> None:
        """End at once. Idempotent."""
        if self.stage is not Stage.OVER:
            self.stage = Stage.OVER
            self._due_ms = self._blocked_ms = self._began_ms = 0
            self._out = None
            self.buffered_bytes = 0
            self._plane.forget(self)
            self.sock.close()
            self._leave_handler()

    def release(self) -> socket:
        """Give the socket to somebody else: this connection is over for the plane, but not closed."""
        self.stage = Stage.OVER
        self._due_ms = 0
        self._plane.forget(self)
        return self.sock
