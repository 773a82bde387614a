"""The process inside the sandbox: what it answers, and when it ends."""

from __future__ import annotations

import io
import resource
from typing import Any

import msgspec
import pytest

pytest.importorskip("pyspiel", reason="OpenSpiel is not installed: the extra `games`")

from extensions.games import bounds
from extensions.games import openspiel_child as child
from extensions.games.openspiel_engine import Engine


def ask(*request: Any) -> Any:
    answer = msgspec.msgpack.decode(child.answer(Engine(), msgspec.msgpack.encode(request)))
    return answer[1] or msgspec.msgpack.decode(msgspec.msgpack.encode(answer[0]))


def test_what_can_be_asked() -> None:
    assert "hex" in ask("names")
    assert ask("about", "hex")[0] == "hex"
    assert ask("start", "tic_tac_toe")[0] == [0]
    assert ask("step", "matrix_pd", [], [0, 1])[0] == []
    assert ask("step", "tic_tac_toe", [4], 0)[0] == [0]
    assert ask("walk", "tic_tac_toe", 1, 20) > 4
    assert ask("fuzz", "tic_tac_toe", 1, 50)[0] >= 50


@pytest.mark.parametrize(
    "request_", [("dance",), ("step", "tic_tac_toe", [4], 4), ("start", "no game"), ("start",), ("start", "crossword")]
)
def test_what_is_refused(request_: tuple[Any, ...]) -> None:
    assert isinstance(ask(*request_), str)


def test_messages() -> None:
    stream = io.BytesIO()
    child.write(stream, b"hello")
    stream.seek(0)
    assert child.read(stream) == b"hello"
    assert child.read(stream) is None
    assert child.read(io.BytesIO(b"\x00\x00\x00\x09hi")) is None
    assert child.read(io.BytesIO((bounds.ENGINE_MESSAGE_BYTES + 1).to_bytes(4, "big"))) is None


def test_it_serves_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    source, sink = io.BytesIO(), io.BytesIO()
    child.write(source, msgspec.msgpack.encode(["start", "tic_tac_toe"]))
    source.seek(0)
    child.serve(source, sink)
    sink.seek(0)
    assert child.read(sink) is not None
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", limits.__setitem__)
    child.limit()
    assert limits[resource.RLIMIT_FSIZE] == (0, 0)
