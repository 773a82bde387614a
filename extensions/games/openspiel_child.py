"""The process inside the sandbox: requests on standard input, answers on standard output, until the input ends.

A message is four bytes of length (big endian) and a MessagePack array. Limits are set before anything is read.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any, BinaryIO, Final

import msgspec

from extensions.games import bounds as B
from extensions.games import openspiel_engine as E

_HEAD: Final = 4


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What came of a request: a value, or why it was refused."""

    value: msgspec.Raw = msgspec.Raw(b"\xc0")
    refused: str = ""


def read(stream: BinaryIO) -> bytes | None:
    """A message; None at the end."""
    head = stream.read(_HEAD)
    if len(head) < _HEAD:
        return None
    size = int.from_bytes(head, "big")
    if size > B.ENGINE_MESSAGE_BYTES:
        return None
    body = stream.read(size)
    return body if len(body) == size else None


def write(stream: BinaryIO, body: bytes) -> None:
    """Send a message."""
    stream.write(len(body).to_bytes(_HEAD, "big") + body)
    stream.flush()


def limit() -> None:
    """Little memory, no files, no children, no dumps: a game needs none of it."""
    resource.setrlimit(resource.RLIMIT_AS, (B.ENGINE_MEMORY_BYTES, B.ENGINE_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def answer(engine: E.Engine, request: bytes) -> bytes:
    """Do what is asked."""
    try:
        value = _do(engine, msgspec.msgpack.decode(request))
    except (E.Refused, *E.FAILURES, MemoryError, ValueError, TypeError, ArithmeticError) as error:
        return msgspec.msgpack.encode(Answer(refused=str(error)[:300] or type(error).__name__))
    return msgspec.msgpack.encode(Answer(msgspec.Raw(msgspec.msgpack.encode(value))))


def _do(engine: E.Engine, request: list[Any]) -> Any:
    verb, *arguments = request
    match verb:
        case "names":
            return E.names()
        case "about":
            return E.about(*arguments)
        case "start":
            return engine.start(*arguments)
        case "step":
            text, history, step = arguments
            return engine.step(text, tuple(_step(one) for one in history), _step(step))
        case "walk":
            return E.walk(*arguments)
        case "fuzz":
            return E.fuzz(*arguments)
    raise ValueError(f"no request {verb!r}")


def _step(value: Any) -> E.Step:
    return tuple(value) if isinstance(value, list) else value


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Until the input ends."""
    engine = E.Engine()
    while (request := read(source)) is not None:
        write(sink, answer(engine, request))


def main() -> None:
    """The engine writes to standard output itself: what it says there must not get between the answers."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    limit()
    serve(sys.stdin.buffer, sink)


if __name__ == "__main__":
    main()
