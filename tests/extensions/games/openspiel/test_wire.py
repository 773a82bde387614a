"""Messages between the referee and the engine's process."""

from __future__ import annotations

import io

import msgspec
import pytest

from extensions.games.openspiel import wire
from extensions.games.openspiel.wire import Look, Request, first_key, key_after


def test_a_message_comes_back() -> None:
    stream = io.BytesIO()
    order = Look("chess", b"k" * 16, (1, 2))
    wire.write(stream, order)
    stream.seek(0)
    data = wire.read(stream)
    assert data is not None
    assert msgspec.msgpack.decode(data, type=Request) == order
    assert wire.read(stream) is None


@pytest.mark.parametrize("data", [b"", b"\0\0", b"\0\0\0\5abc", b"\xff\xff\xff\xff"])
def test_what_is_no_message(data: bytes) -> None:
    assert wire.read(io.BytesIO(data)) is None


def test_keys_tell_histories_apart() -> None:
    start = first_key("go")
    keys = {start, first_key("hex"), key_after(start, 1), key_after(start, 2), key_after(start, (1,))}
    assert len(keys) == 5
    assert key_after(key_after(start, 1), 2) != key_after(key_after(start, 2), 1)
