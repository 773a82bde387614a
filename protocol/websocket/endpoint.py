"""One end of a websocket after the handshake, sans-IO (RFC 6455): bytes in, whole messages out.

::

    server = Server()
    for message in server.receive(chunk):      # what one recv gave
        ...
    socket.send(server.outgoing())             # pongs and the close frame; empty nearly always
    if server.state is State.CLOSED:           # write what is left, then end the TCP connection
        ...

States. OPEN: both may send. `close` makes the close frame and leads to CLOSING: messages that still come are discarded
without being kept, until the peer's close frame leads to CLOSED. In OPEN, a close frame of the peer is answered with
the same code and leads to CLOSED; so does whatever the RFC forbids, with the code it names, and `failure` says why.
In CLOSED nothing is looked at any more.

What the caller owes: the bytes of `outgoing` are sent after every `receive` and before anything else; no frame is sent
in another state than OPEN; time-outs, and a budget for `control_frames` per second, since only the caller has a clock
(a flood within one chunk is refused here). How long one `receive` can take is decided by the size of the chunk.

Bounds hold before anything is kept: a length over the limit is refused from the header, fragments are counted, and the
memory of an unfinished message is what has arrived of it, whatever its header announced.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from protocol import limits as L
from protocol.errors import LocalProtocolError
from protocol.websocket import utf8, whole
from protocol.websocket.codes import CloseCode, Opcode, State, may_be_sent
from protocol.websocket.encoder import CONTROL_BYTES_MAX, KEY_BYTES, close_payload, control_frame, masked_frame
from protocol.websocket.masking import rotated, xor

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_OPCODES: Final = frozenset(Opcode)
_WAIT: Final = -1  # instead of an offset: the chunk is used up, or nothing more is read


class Text(bytes):
    """A text message as its UTF-8, already validated; every other message is binary."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What the peer did that the RFC, or a limit, forbids."""

    code: int
    text: str


class Endpoint:
    """What both roles share; see the module. Use `Server` or `Client`.

    ``message_bytes_max`` may be changed at any time (a relay lifts it after the login) and is never below 125;
    ``accepts_text`` false answers a text with 1003.
    """

    __slots__ = (
        "_control_max",
        "_fin",
        "_fragments",
        "_key",
        "_message",
        "_need",
        "_opcode",
        "_out",
        "_rest",
        "_tail",
        "accepts_text",
        "control_frames",
        "failure",
        "fragments_max",
        "last_pong",
        "message_bytes_max",
        "received_code",
        "received_reason",
        "sent_code",
        "state",
    )

    _flag: ClassVar[int]  # the mask bit that the peer's frames must have
    _whole: ClassVar[whole.Whole]

    def __init__(
        self,
        *,
        message_bytes_max: int = L.MESSAGE_BYTES_MAX,
        fragments_max: int = L.WEBSOCKET_FRAGMENTS_MAX,
        accepts_text: bool = False,
    ) -> None:
        if message_bytes_max < CONTROL_BYTES_MAX:
            raise LocalProtocolError(f"message_bytes_max is at least {CONTROL_BYTES_MAX}, not {message_bytes_max}")
        self.message_bytes_max = message_bytes_max
        self.fragments_max = fragments_max
        self.accepts_text = accepts_text
        self.state = State.OPEN
        self.control_frames = 0  # pings, pongs and closes so far
        self._control_max = 0  # what it may grow to in this chunk
        self.last_pong = b""
        self.sent_code: int | None = None
        self.received_code: int | None = None  # 1005: a close frame without a code; 1006: none came
        self.received_reason = ""
        self.failure: Failure | None = None
        self._out: bytearray | None = None
        self._rest = b""  # an incomplete header, or a control frame that is not whole: under 140 octets
        # The message under way; `_opcode` is 0 where there is none.
        self._opcode = 0
        self._message: bytearray | None = None
        self._fragments = 0
        self._tail = b""  # of a text: a character that is not whole
        # Its frame under way; `_need` octets of it are still to come.
        self._need = 0
        self._key = b""
        self._fin = False

    @property
    def is_midway(self) -> bool:
        """A frame or a message has begun and has not ended."""
        return bool(self._opcode or self._rest)

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way, nothing has to be sent, and the connection is open: so it is nearly always."""
        return not self._opcode and not self._rest and self._out is None and self.state is State.OPEN

    # -- out -----------------------------------------------------------------------------------------------------------
    def outgoing(self) -> bytes:
        """What must be sent now; handed out once."""
        out, self._out = self._out, None
        return b"" if out is None else bytes(out)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin the close handshake; without effect where it has begun. Nothing may be sent after its frame.

        Raises:
            LocalProtocolError: a code that may not stand in a close frame (section 7.4).
        """
        payload = close_payload(code, reason)
        if self.state is State.OPEN:
            self.sent_code = code
            self._send(Opcode.CLOSE, payload)
            self.state = State.CLOSING
            self._tail = b""
            if self._message is not None:
                self._message = bytearray()  # its frames are still followed, but not kept

    def receive_eof(self) -> None:
        """The peer's stream has ended: after this nothing comes and nothing can be answered."""
        if self.state is not State.CLOSED:
            self.received_code = CloseCode.ABNORMAL
            self._end()

    def _encode(self, opcode: int, payload: bytes) -> bytes:
        return control_frame(opcode, payload)

    def _send(self, opcode: int, payload: bytes) -> None:
        frame = self._encode(opcode, payload)
        out = self._out
        if out is None:
            self._out = bytearray(frame)
        elif opcode == Opcode.PONG and len(out) > L.WEBSOCKET_PONG_BYTES_MAX:
            self._out = bytearray(frame)  # section 5.5.3: of several pings the last may be answered alone
        else:
            out += frame

    def _fail(self, code: int, text: str) -> int:
        """Section 7.1.7: say why, look at nothing more."""
        self.failure = Failure(code, text)
        if self.state is State.OPEN:
            self.sent_code = code
            self._send(Opcode.CLOSE, close_payload(code, text))
        return self._end()

    def _end(self) -> int:
        self.state = State.CLOSED
        self._message = None
        self._rest = self._tail = self._key = b""
        self._opcode = self._need = 0
        return _WAIT

    # -- in ------------------------------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> list[bytes]:
        """Whole messages, in order, that end in ``data``: what one read of the stream gave.

        Texts are `Text`. Messages before an error in the same chunk are returned; what comes after is not looked at.
        """
        messages: list[bytes] = []
        if self.state is State.CLOSED:
            return messages
        if self._rest:
            data, self._rest = self._rest + data, b""
        self._control_max = self.control_frames + L.WEBSOCKET_CONTROL_FRAMES_MAX
        taken: list[bytes] = messages if self.state is State.OPEN else []  # after our close they are discarded
        at, end = 0, len(data)
        while at < end:
            if not self._opcode:
                at = self._whole(data, at, self.message_bytes_max, taken)
                if at == end:
                    break
            at = self._payload(data, at, messages) if self._need else self._header(data, at, messages)
            if at == _WAIT:
                break
        return messages

    def _header(self, data: bytes, at: int, messages: list[bytes]) -> int:
        """One frame from its header on; returns the offset after what was used."""
        there = len(data) - at
        first = data[at]
        opcode = first & 15
        if first & _RESERVED:
            return self._fail(CloseCode.PROTOCOL, "a reserved bit is set, and no extension was negotiated")
        if opcode not in _OPCODES:
            return self._fail(CloseCode.PROTOCOL, f"opcode {opcode} is reserved")
        if there < 2:
            return self._wait(data, at)
        second = data[at + 1]
        if second & _MASKED != self._flag:
            which = "not masked, as a client's must be" if self._flag else "masked, as a server's never is"
            return self._fail(CloseCode.PROTOCOL, f"the frame is {which}")
        size = second & 127
        if opcode >= Opcode.CLOSE:
            return self._control(data, at, size)
        if size < 126:
            start = at + 2
        elif size == 126:
            if there < 4:
                return self._wait(data, at)
            start = at + 4
            size = int.from_bytes(data[at + 2 : start], "big")
        else:
            if there < 10:
                return self._wait(data, at)
            start = at + 10
            size = int.from_bytes(data[at + 2 : start], "big")
        wrong = self._refuse(opcode, size)
        if wrong is not None:
            return self._fail(wrong.code, wrong.text)
        if self._flag:
            if len(data) < start + KEY_BYTES:
                return self._wait(data, at)
            self._key = data[start : start + KEY_BYTES]
            start += KEY_BYTES
        if opcode:
            self._opcode, self._message, self._fragments = opcode, bytearray(), 0
        self._fragments += 1
        self._need = size
        self._fin = first >= _FIN
        return start if size else self._frame_ended(start, messages)

    def _refuse(self, opcode: int, size: int) -> Failure | None:
        """Why a data frame must not come now, or not with this size."""
        if opcode and self._opcode:
            return Failure(CloseCode.PROTOCOL, "a new message began before the last one ended")
        if not opcode and not self._opcode:
            return Failure(CloseCode.PROTOCOL, "a continuation without a message to continue")
        if size >> 63:
            return Failure(CloseCode.PROTOCOL, "the highest bit of a 64-bit length is set")
        if self.state is not State.OPEN:
            return None  # nothing is kept, so nothing can be too much
        if opcode == Opcode.TEXT and not self.accepts_text:
            return Failure(CloseCode.TYPE, "only binary messages are served here")
        if size + (0 if self._message is None else len(self._message)) > self.message_bytes_max:
            return Failure(CloseCode.SIZE, f"a message has at most {self.message_bytes_max} bytes")
        if not opcode and self._fragments >= self.fragments_max:
            return Failure(CloseCode.SIZE, f"a message has at most {self.fragments_max} fragments")
        return None

    def _wait(self, data: bytes, at: int) -> int:
        self._rest = data[at:]
        return _WAIT

    def _payload(self, data: bytes, at: int, messages: list[bytes]) -> int:
        """What the chunk holds of the frame under way."""
        piece = data[at : at + self._need]
        self._need -= len(piece)
        if self.state is State.OPEN and self._message is not None:
            if self._flag:
                key = self._key
                self._key = rotated(key, len(piece))
                piece = xor(piece, key)
            if self._opcode == Opcode.TEXT:
                tail = utf8.advance(self._tail, piece)
                if tail is None:
                    return self._fail(CloseCode.UTF8, "a text that is not UTF-8")
                self._tail = tail
            self._message += piece
        at += len(piece)
        return at if self._need else self._frame_ended(at, messages)

    def _frame_ended(self, at: int, messages: list[bytes]) -> int:
        if self._fin:
            if self._tail:
                return self._fail(CloseCode.UTF8, "a text that ends within a character")
            if self.state is State.OPEN and self._message is not None:
                messages.append((Text if self._opcode == Opcode.TEXT else bytes)(self._message))
            self._opcode = 0
            self._message = None
        return at

    # -- control frames ------------------------------------------------------------------------------------------------
    def _control(self, data: bytes, at: int, size: int) -> int:
        if size > CONTROL_BYTES_MAX or data[at] < _FIN:
            return self._fail(CloseCode.PROTOCOL, "a control frame is fragmented, or longer than 125 octets")
        start = at + 2 + (KEY_BYTES if self._flag else 0)
        stop = start + size
        if stop > len(data):
            return self._wait(data, at)
        payload = data[start:stop]
        if self._flag:
            payload = xor(payload, data[start - KEY_BYTES : start])
        self.control_frames += 1
        if self.control_frames > self._control_max:
            return self._fail(CloseCode.POLICY, "a flood of control frames")
        opcode = data[at] & 15
        if opcode == Opcode.CLOSE:
            return self._close_received(payload)
        if opcode == Opcode.PONG:
            self.last_pong = payload
        elif self.state is State.OPEN:
            self._send(Opcode.PONG, payload)
        return stop

    def _close_received(self, payload: bytes) -> int:
        code = int.from_bytes(payload[:2], "big") if payload else CloseCode.NONE
        if payload and (len(payload) == 1 or not may_be_sent(code)):
            return self._fail(CloseCode.PROTOCOL, "a close frame whose code may not be sent")
        if not utf8.is_utf8(payload[2:]):
            return self._fail(CloseCode.UTF8, "a close reason that is not UTF-8")
        self.received_code, self.received_reason = code, payload[2:].decode()
        if self.state is State.OPEN:
            self.sent_code = code
            self._send(Opcode.CLOSE, payload[:2])
        return self._end()


class Server(Endpoint):
    """The relay's end. It sends what `encoder` makes."""

    __slots__ = ()

    _flag = _MASKED
    _whole = staticmethod(whole.masked)


class Client(Endpoint):
    """A client's end. ``random`` gives so many unpredictable octets (section 10.3): ``secrets.token_bytes``."""

    __slots__ = ("_random",)

    _flag = 0
    _whole = staticmethod(whole.plain)

    def __init__(
        self,
        random: Callable[[int], bytes],
        *,
        message_bytes_max: int = L.MESSAGE_BYTES_MAX,
        fragments_max: int = L.WEBSOCKET_FRAGMENTS_MAX,
        accepts_text: bool = False,
    ) -> None:
        super().__init__(
            message_bytes_max=message_bytes_max, fragments_max=fragments_max, accepts_text=accepts_text
        )  # fmt: skip
        self._random = random

    def frame(self, payload: bytes, opcode: int = Opcode.BINARY) -> bytes:
        """``payload`` as one masked frame to send.

        Raises:
            LocalProtocolError: the state is not OPEN: nothing may follow a close frame.
        """
        if self.state is not State.OPEN:
            raise LocalProtocolError(f"nothing may be sent: the connection is {self.state.value}")
        return masked_frame(opcode, payload, self._random(KEY_BYTES))

    def _encode(self, opcode: int, payload: bytes) -> bytes:
        return control_frame(opcode, payload, self._random(KEY_BYTES))
