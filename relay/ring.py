"""The recent past of a topic, in memory: what a reader who was away for a moment gets without a look at the store."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from protocol.codec import encode_struct
from protocol.frames import Msg
from protocol.websocket import frame as binary_frame
from storage.base import Entry


def encode_entry(tid: int, entry: Entry) -> bytes:
    """An entry as the websocket frame that all subscribers share."""
    return binary_frame(
        encode_struct(
            Msg(
                tid, entry.offset, entry.id, entry.account, entry.device, entry.ts, entry.flags, entry.fence, entry.ttl,
                entry.header, entry.body,
            )
        )
    )  # fmt: skip


class Ring:
    """The most recent frames of a topic, contiguous up to its head, bounded in number and bytes."""

    __slots__ = ("_bytes_max", "_frames", "_frames_max", "bytes", "first")

    def __init__(self, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[bytes] | None = None  # an empty one takes 600 bytes, and most topics are quiet
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self.bytes = 0
        self.first = 1  # offset of the oldest frame, or of the next one when empty

    def push(self, offset: int, frame: bytes) -> None:
        """Add the frame of the next offset."""
        frames = self._frames
        if frames is None:
            frames = self._frames = deque()
        if not frames:
            self.first = offset
        frames.append(frame)
        self.bytes += len(frame)
        while len(frames) > self._frames_max or self.bytes > self._bytes_max:
            self.bytes -= len(frames.popleft())
            self.first += 1

    def forget(self, next_offset: int) -> None:
        """Drop everything; ``next_offset`` comes next."""
        self._frames = None
        self.bytes = 0
        self.first = next_offset

    def covers(self, offset: int) -> bool:
        """Whether the frame of ``offset`` is here."""
        return self.first <= offset < self.first + len(self)

    def read_from(self, offset: int) -> Iterator[bytes]:
        """Frames from ``offset`` on."""
        return islice(self._frames or (), offset - self.first, None)

    def __len__(self) -> int:
        return len(self._frames or ())
