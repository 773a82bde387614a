"""Frames of a server, against an independent implementation (wsproto)."""

from __future__ import annotations

from typing import cast

import pytest
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode

from relay.framing import binary_frame, close_frame, may_be_sent, payload_of


def parsed(data: bytes) -> Frame:
    """The one frame in ``data``."""
    reader = FrameProtocol(client=True, extensions=[])
    reader.receive_bytes(data)
    (frame,) = reader.received_frames()
    return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_binary_frames(size: int) -> None:
    payload = bytes(size)
    frame = parsed(binary_frame(payload))
    assert (frame.opcode, frame.message_finished, frame.payload) == (Opcode.BINARY, True, payload)
    assert payload_of(binary_frame(payload)) == payload


@pytest.mark.parametrize("reason", ["", "goodbye", "x" * 200, "é" * 100, "🚂" * 50])
def test_close_frames(reason: str) -> None:
    frame = parsed(close_frame(4002, reason))
    assert frame.opcode is Opcode.CLOSE
    code, text = cast("tuple[int, str]", frame.payload)
    assert code == 4002
    assert reason.startswith(text)
    assert len(reason.encode()) - len(text.encode()) < 4 or len(text.encode()) > 119


def test_codes_that_never_stand_in_a_frame() -> None:
    assert [code for code in (1000, 1005, 1006, 1015, 1012, 2999, 3000, 4999, 5000) if may_be_sent(code)] == [
        1000, 1012, 3000, 4999,
    ]  # fmt: skip
