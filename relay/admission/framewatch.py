"""Follows the bytes that a peer sends, far enough to judge them before anybody buffers them (RFC 6455 section 5.2).

It knows whether a message is under way, how large it says it will be and in how many fragments it comes, and for how
long we have waited for the rest. Whether the frames are well-formed is for the websocket library to say.
"""

from __future__ import annotations

from typing import Final

from protocol import limits as L

_HEAD_END: Final = b"\r\n\r\n"
_CONTROL: Final = 0x08
_FIN: Final = 0x80
_MASKED: Final = 0x80


class FrameWatch:
    """``head_max`` bounds the HTTP head, ``message_max`` the bytes that one message may declare."""

    __slots__ = (
        "_began_ms", "_fragments", "_frame_ms", "_head", "_header", "_is_last", "_left", "_midway", "_waited_ms",
        "head_max", "message_bytes", "message_max",
    )  # fmt: skip

    def __init__(self, head_max: int, message_max: int, frame_ms: int) -> None:
        self.head_max = head_max
        self.message_max = message_max
        self.message_bytes = 0  # declared so far by the frames of the message under way
        self._frame_ms = frame_ms
        self._head: bytearray | None = bytearray()  # None: it is over
        self._header = bytearray()
        self._left = 0  # payload bytes of the frame under way
        self._fragments = 0  # of the message under way
        self._is_last = True  # the frame under way ends its message, or is a control frame between two
        self._midway = 0  # bytes of what is under way, frames and payload, that have come
        self._waited_ms = 0  # for them
        self._began_ms: int | None = None  # waiting since

    # -- time ----------------------------------------------------------------------------------------------------------
    def wait(self, now_ms: int) -> None:
        """We begin to wait for bytes: only this counts, not the time in which we did not read."""
        self._began_ms = now_ms

    def is_overdue(self, now_ms: int) -> bool:
        """A message is under way, and its next bytes, or all of them together, let us wait too long."""
        if self._began_ms is None or not self.is_midway:
            return False
        pause_ms = now_ms - self._began_ms
        allowed_ms = self._frame_ms + self._midway * 1000 // L.FRAME_BYTES_PER_S
        return pause_ms >= self._frame_ms or self._waited_ms + pause_ms >= allowed_ms

    @property
    def is_midway(self) -> bool:
        """A frame or a message has begun and has not ended."""
        return self._head is None and (bool(self._header) or self._left > 0 or self._fragments > 0)

    # -- bytes ---------------------------------------------------------------------------------------------------------
    def feed(self, data: bytes, now_ms: int) -> str | None:
        """Bytes came; why they go too far, if they do."""
        if self._began_ms is not None and self.is_midway:
            self._waited_ms += now_ms - self._began_ms
        self._began_ms = None
        if self._head is not None:
            self._head += data
            end = self._head.find(_HEAD_END)
            if (len(self._head) if end < 0 else end) > self.head_max:
                return f"the HTTP head is over {self.head_max} bytes"
            if end < 0:
                return None
            data, self._head = bytes(self._head[end + len(_HEAD_END) :]), None
        return self._frames(data)

    @property
    def is_head(self) -> bool:
        """The HTTP head has not ended yet."""
        return self._head is not None

    def _frames(self, data: bytes) -> str | None:
        position, size = 0, len(data)
        while position < size:
            if self._left:
                step = min(self._left, size - position)
                position += step
                self._left -= step
                self._midway += step
            else:
                whole = _header_size(data, position) if not self._header and size - position >= 2 else 0
                if whole and size - position >= whole:  # nearly always
                    header = data[position : position + whole]
                    position += whole
                    self._midway += whole
                else:
                    self._header.append(data[position])
                    position += 1
                    self._midway += 1
                    if len(self._header) < 2 or len(self._header) < _header_size(self._header):
                        continue
                    header = bytes(self._header)
                    self._header.clear()
                fault = self._begin(header)
                if fault is not None:
                    return fault
            if not self._left and not self._header and self._is_last:
                self._end()
        return None

    def _begin(self, header: bytes) -> str | None:
        self._left = _declared(header)
        if header[0] & _CONTROL:
            self._is_last = self._fragments == 0
            return None
        self._is_last = bool(header[0] & _FIN)
        self._fragments += 1
        self.message_bytes += self._left
        if self.message_bytes > self.message_max:
            return f"a message of {self.message_bytes} bytes or more; at most {self.message_max} here"
        if self._fragments > L.WEBSOCKET_FRAGMENTS_MAX:
            return f"a message of more than {L.WEBSOCKET_FRAGMENTS_MAX} fragments"
        return None

    def _end(self) -> None:
        self._fragments = self.message_bytes = self._midway = self._waited_ms = 0


def _header_size(data: bytes | bytearray, start: int = 0) -> int:
    second = data[start + 1]
    extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
    return 2 + extended + (4 if second & _MASKED else 0)


def _declared(header: bytes) -> int:
    short = header[1] & 0x7F
    if short == 126:
        return int.from_bytes(header[2:4], "big")
    return int.from_bytes(header[2:10], "big") if short == 127 else short
