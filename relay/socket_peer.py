"""One websocket's socket: a ``seam.Peer`` for the relay's logic, and the stream that trio-websocket believes to own.

Everything that is to be sent, by us or by trio-websocket (handshake, pongs, close), is appended to one buffer that one
task writes down. So no send is ever cancelled halfway, which would corrupt the stream, and frames that wait are written
together.
"""

from __future__ import annotations

from typing import Final

import trio
from trio_websocket import WebSocketConnection

from protocol import limits as L
from protocol.websocket import close_frame
from protocol.websocket import frame as binary_frame
from protocol.websocket.codes import may_be_sent
from relay import bounds as B
from relay.admission.framewatch import FrameWatch
from relay.config import Settings
from relay.seam import Handler

_LOGIN_BYTES: Final = B.HANDSHAKE_BYTES_MAX + L.LOGIN_BYTES_MAX + L.LOGIN_BUFFER_BYTES_MAX
_SESSION_BYTES: Final = L.MESSAGE_BYTES_MAX + B.FRAMING_BYTES_MAX
_HEAD_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)
_TOO_BIG: Final = 1009  # RFC 6455 section 7.4.1
_CLOSE_OPCODE: Final = 0x88


class SocketPeer(trio.abc.Stream):
    """A ``seam.Peer``, and at the same time the stream that trio-websocket believes to own."""

    def __init__(self, stream: trio.abc.Stream, address: str, settings: Settings) -> None:
        self.stream = stream
        self._address = address
        self._bound = settings.outbound_bytes_max
        self._low = settings.outbound_bytes_max // B.OUTBOUND_LOW_DIVISOR
        self._stalled_s = settings.stalled_ms / 1000
        self._pending: list[bytes] = []
        self._buffered = 0
        self._was_full = False
        self._wake = trio.Event()
        self._room = trio.Event()
        self._is_closing = False  # a close frame was appended: nothing may follow it
        self._is_done = False  # no more bytes will be appended
        self.paused_until_s = 0.0
        self._has_spoken = False  # something was sent
        self.watch = FrameWatch(B.HANDSHAKE_BYTES_MAX, L.LOGIN_BUFFER_BYTES_MAX, settings.frame_ms)
        self.oversize = ""  # what the peer sent too much of, where that ended the connection
        self._received = 0  # bytes since the last whole message
        self._received_max = _LOGIN_BYTES
        self._unread = b""  # read before trio-websocket came, and still to be read by it
        self.flushed = trio.Event()  # the writer has ended
        self.closing = trio.Event()  # the end has begun
        self.ended = trio.Event()  # nothing more will be read, or written
        self.is_clean = False  # both sides have sent their close frames
        self.is_stalled = False  # the socket took nothing for too long
        self.head = b""  # the HTTP request, as long as it may be needed
        self.handler: Handler | None = None
        self.websocket: WebSocketConnection | None = None

    # -- seam.Peer -----------------------------------------------------------------------------------------------------
    @property
    def address(self) -> str:
        """Network address without a port."""
        return self._address

    @property
    def buffered_bytes(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._buffered

    def send_nowait(self, payload: bytes) -> None:
        """Append one binary message."""
        self.send_framed_nowait(binary_frame(payload))

    def send_framed_nowait(self, frame: bytes) -> None:
        """Append a frame that others may get too."""
        if not self._is_closing:
            self._append(frame)

    def send_shared_nowait(self, frames: bytes) -> None:
        """The same: one task writes each connection, so none waits for another."""
        self.send_framed_nowait(frames)

    def close_nowait(self, code: int, reason: str, goodbye: bytes = b"") -> None:
        """Append the goodbye and a close frame; the socket is closed when the peer has answered, or soon."""
        if not self._is_closing:
            if goodbye:
                self._append(binary_frame(goodbye))
            self._append(close_frame(code, reason))
            self._is_closing = True
            self.closing.set()

    def pause_nowait(self, span_ms: int) -> None:
        """Nothing more is handed up until then; trio-websocket stops reading when its queue is full."""
        self.paused_until_s = trio.current_time() + span_ms / 1000

    def login_decided_nowait(self) -> None:
        """From now on whole messages are what is limited."""
        self._received_max = _SESSION_BYTES
        self.watch.message_max = L.MESSAGE_BYTES_MAX

    def _append(self, data: bytes) -> None:
        if self._is_done:
            return
        self._has_spoken = True
        self._pending.append(data)
        self._buffered += len(data)
        if self._buffered > self._bound:
            self._was_full = True
        self._wake.set()

    # -- trio.abc.Stream, for trio-websocket ---------------------------------------------------------------------------
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Handshake, pongs and closes; a peer that pings without reading waits here instead of filling memory."""
        await trio.lowlevel.checkpoint()
        if self._is_closing:
            return  # an answer to a close frame after ours
        self._append(bytes(data))
        if self.websocket is not None and data[0] == _CLOSE_OPCODE:
            self._is_closing = True
        while self._buffered > self._bound + B.CONTROL_BYTES_MAX and not self._is_done:
            await self.room()

    async def wait_send_all_might_not_block(self) -> None:
        """Never blocks."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Bytes of the peer; the end where it sends more than one message may have."""
        if self._received > self._received_max:
            return self._too_much("too many bytes without a whole message")
        self.watch.wait(int(trio.current_time() * 1000))
        if self._unread:
            await trio.lowlevel.checkpoint()
            data, self._unread = self._unread, b""
        else:
            data = bytes(await self.stream.receive_some(max_bytes))
        is_head = self.watch.is_head
        fault = self.watch.feed(data, int(trio.current_time() * 1000))
        if fault is not None:
            return self._too_much(fault, is_head=is_head)
        self._received += len(data)
        if self.websocket is None:
            self.head += data
        if not data:
            self.ended.set()
        return data

    def unread(self, data: bytes) -> None:
        """Hand bytes back that were read to see what they are."""
        self._unread = data

    def _too_much(self, text: str, *, is_head: bool = False) -> bytes:
        """Say so and read no more: what was announced is never buffered."""
        self.oversize = text
        if is_head:
            self.answer_nowait(_HEAD_TOO_LARGE)
        else:
            self.close_nowait(_TOO_BIG, text)
        self.ended.set()
        return b""

    def answer_nowait(self, response: bytes) -> None:
        """An HTTP response in place of a websocket, where nothing was answered yet."""
        if not self._has_spoken:
            self._append(response)

    async def aclose(self) -> None:
        """Trio-websocket is done: say why, where it has not."""
        await trio.lowlevel.checkpoint()
        self.is_clean = self._is_closing
        reason = None if self.websocket is None else self.websocket.closed
        if reason is not None and may_be_sent(reason.code):
            self.close_nowait(reason.code, reason.reason or "")
        self.ended.set()

    # -- the two tasks -------------------------------------------------------------------------------------------------
    def message_received(self) -> None:
        """A whole message was read: the count begins anew."""
        self._received = 0

    async def room(self) -> None:
        """Wait until the buffer is at most half full, or nothing will be sent any more."""
        while self._buffered > self._low and not self._is_done:
            self._room = trio.Event()
            await self._room.wait()

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more may be asked for: twice what fan-out and history may queue."""
        return self._buffered > 2 * self._bound

    def finish(self) -> None:
        """Nothing more will be appended; the writer ends when the buffer is empty."""
        self._is_closing = True
        self._is_done = True
        self._wake.set()
        self._room.set()

    async def write(self) -> None:
        """Write the buffer down, all that waits at once, until ``finish``. Ends early where the socket is dead."""
        try:
            while True:
                while self._pending:
                    chunk = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
                    self._pending.clear()
                    if not await self._write(chunk):
                        return
                if self._is_done:
                    return
                self._wake = trio.Event()
                await self._wake.wait()
        finally:
            self._is_done = True
            self._room.set()
            self.flushed.set()
            self.ended.set()

    async def _write(self, chunk: bytes) -> bool:
        view = memoryview(chunk)
        for start in range(0, len(chunk), B.WRITE_SLICE_BYTES):
            part = view[start : start + B.WRITE_SLICE_BYTES]
            try:
                if not await self._write_slice(part):
                    return False
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
        return True

    async def _write_slice(self, part: memoryview) -> bool:
        """Hand one slice to the kernel; False: it took nothing at all for ``stalled_ms``."""
        if not isinstance(self.stream, trio.SocketStream):
            with trio.move_on_after(self._stalled_s):
                await self.stream.send_all(part)
                self._took(len(part))
                return True
            self.is_stalled = True
            return False
        socket = self.stream.socket
        while part:
            taken = 0
            with trio.move_on_after(self._stalled_s):
                try:
                    taken = await socket.send(part)
                except OSError as error:
                    raise trio.BrokenResourceError from error
            if not taken:
                self.is_stalled = True
                return False
            part = part[taken:]
            self._took(taken)
        return True

    def _took(self, count: int) -> None:
        self._buffered -= count
        if self._buffered <= self._low:
            self._room.set()
            if self._was_full:
                self._was_full = False
                if self.handler is not None:
                    self.handler.on_writable()
