"""Runs `tests/vectors/conformance.json` against a relay, with a client that shares no code with the relay."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, connect_websocket_url

from tests.conformance.values import Mismatch, Scope, pack, show, unpack

SCRIPT: Final = Path(__file__).resolve().parents[1] / "vectors" / "conformance.json"
SUBPROTOCOL: Final = "chappe.v1"
#: The longest that anything may take; a relay on a busy machine is far below it.
WAIT_S: Final = 20
#: PING, INFO again, EVT, extensions: may come at any time and are passed over unless they are what is expected.
ANYTIME: Final = (1, 5, 16)
PING, PONG, ERR, BYE = 5, 6, 4, 17
EXTENSION_MIN: Final = 64


@dataclass(frozen=True, slots=True)
class Result:
    """One case. ``why`` is empty where it passed."""

    name: str
    why: str


def load(path: Path = SCRIPT) -> dict[str, Any]:
    """The script."""
    script: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return script


def filled(source: Any, values: dict[str, Any]) -> Any:
    """A procedure's steps with its parameters: ``%name`` as a whole is replaced by any value, inside a text by text."""
    if isinstance(source, list):
        return [filled(item, values) for item in source]
    if isinstance(source, dict):
        return {filled(key, values): filled(item, values) for key, item in source.items()}
    if isinstance(source, str) and "%" in source:
        if source[1:] in values:
            return values[source[1:]]
        for name in sorted(values, key=len, reverse=True):
            source = source.replace(f"%{name}", str(values[name]))
    return source


def flat(steps: list[Any], procedures: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Steps with all procedures written out."""
    for step in steps:
        if "do" in step:
            values = {name: value for name, value in step.items() if name != "do"}
            yield from flat(filled(procedures[step["do"]], values), procedures)
        else:
            yield step


def _binary(data: bytes | str) -> bytes:
    if isinstance(data, str):
        raise Mismatch(f"a text message: {data[:80]!r}")
    return data


class Case:
    """One case under way: its variables and its connections."""

    def __init__(self, url: str, nursery: trio.Nursery) -> None:
        self.scope = Scope()
        self._url = url
        self._nursery = nursery
        self._open: dict[str, WebSocketConnection] = {}
        self._all: list[WebSocketConnection] = []  # those too whose name was used again

    async def step(self, step: dict[str, Any]) -> None:
        """Do one step. Raises ``Mismatch``."""
        kind = next(iter(step))
        if kind == "open":
            await self._connect(step["open"])
        elif kind == "close":
            await self._open[step["close"]].aclose()
        elif kind == "set":
            for name, value in step["set"].items():
                self.scope.names[name] = self.scope.value(value)
        elif kind in ("equal", "differ"):
            one, other = self.scope.value(step[kind])
            if (one == other) is (kind == "differ"):
                raise Mismatch(f"{show(one)} and {show(other)} should {kind}")
        else:
            await self._talk(kind, step, step[kind])

    async def _connect(self, name: str) -> None:
        socket = await connect_websocket_url(self._nursery, self._url, subprotocols=[SUBPROTOCOL])
        self._open[name] = socket
        self._all.append(socket)
        if socket.subprotocol != SUBPROTOCOL:
            raise Mismatch(f"the relay chose the subprotocol {socket.subprotocol!r}")

    async def _talk(self, kind: str, step: dict[str, Any], name: str) -> None:
        if kind == "send":
            await self._send(name, step)
        elif kind == "ask":
            await self._ask(name, step)
        elif "end" in step:
            await self._expect_end(name, step["end"])
        elif "unordered" in step:
            await self._expect_all(name, list(step["unordered"]))
        else:
            frame = await self._receive(name, step["frame"][0], past=step.get("past", []))
            self.scope.match(step["frame"], frame)

    async def _send(self, name: str, step: dict[str, Any]) -> None:
        if "text" in step:
            await self._open[name].send_message(step["text"])
        elif "bytes" in step:
            await self._open[name].send_message(self.scope.value(step["bytes"]))
        else:
            await self._open[name].send_message(pack(self.scope.value(step["frame"])))

    async def _ask(self, name: str, step: dict[str, Any]) -> None:
        while True:
            await self._send(name, step)
            frame = await self._receive(name, step["is"][0])
            waits_ms = frame[4] if frame[0] == ERR and len(frame) > 4 else None
            if not step.get("patiently") or waits_ms is None:
                self.scope.match(step["is"], frame)
                return
            await trio.sleep(waits_ms / 1000)

    async def _expect_all(self, name: str, patterns: list[Any]) -> None:
        while patterns:
            frame = await self._receive(name, *(pattern[0] for pattern in patterns))
            fitting = [pattern for pattern in patterns if self._fits(pattern, frame)]
            if not fitting:
                raise Mismatch(f"{show(frame)} is none of the {len(patterns)} frames that were still expected")
            patterns.remove(fitting[0])

    def _fits(self, pattern: Any, frame: Any) -> bool:
        try:
            self.scope.match(pattern, frame)
        except Mismatch:
            return False
        return True

    async def _receive(self, name: str, *wanted: int, past: Sequence[int] = ()) -> list[Any]:
        """The next frame that is of a wanted type, or that may not be passed over (those of ``past`` may)."""
        while True:
            with trio.move_on_after(WAIT_S) as scope:
                try:
                    data = await self._open[name].get_message()
                except ConnectionClosed as closed:
                    raise Mismatch(f"closed ({closed.reason}) where frame {wanted} was expected") from None
            if scope.cancelled_caught:
                raise Mismatch(f"nothing came in {WAIT_S} s where frame {wanted} was expected")
            frame = unpack(_binary(data))
            if not isinstance(frame, list) or not frame or type(frame[0]) is not int:
                raise Mismatch(f"not a frame: {show(data)}")
            if frame[0] == PING:
                await self._open[name].send_message(pack([PONG, *frame[1:2]]))
            if frame[0] in wanted or (frame[0] not in (*ANYTIME, *past) and frame[0] < EXTENSION_MIN):
                return frame

    async def _expect_end(self, name: str, end: dict[str, Any]) -> None:
        """BYE with a code (none where it is null), then the websocket's close."""
        if end["bye"] is not None:
            self.scope.match([BYE, end["bye"]], await self._receive(name, BYE))
        socket = self._open[name]
        with trio.move_on_after(WAIT_S):
            try:
                data = await socket.get_message()
                while end["bye"] is None and unpack(_binary(data))[0] in ANYTIME:  # was on its way to us
                    data = await socket.get_message()
            except ConnectionClosed as closed:
                code = closed.reason.code if closed.reason else 1006
                if code != end.get("websocket", end["bye"]):
                    raise Mismatch(f"the websocket was closed with {code}") from None
                return
            raise Mismatch(f"{show(data)} where the connection should have ended")
        raise Mismatch(f"the websocket is still open after {WAIT_S} s")

    async def finish(self) -> None:
        """Close what is open; where the relay closed, trio-websocket leaves the socket to us."""
        for socket in self._all:
            await trio.aclose_forcefully(socket._stream)


async def run_case(url: str, case: dict[str, Any], procedures: dict[str, Any]) -> Result:
    """Run one case; a mismatch is its result, not an exception."""
    steps = list(flat(case["steps"], procedures))
    why = ""
    async with trio.open_nursery() as nursery:
        running = Case(url, nursery)
        done = 0
        try:
            for step in steps:
                await running.step(step)
                done += 1
        except (Mismatch, ConnectionClosed, HandshakeError, OSError) as error:
            why = f"step {done + 1} of {len(steps)}, {json.dumps(steps[done])[:300]}: {error}"
        finally:
            await running.finish()
            nursery.cancel_scope.cancel()
    return Result(case["name"], why)


async def run(url: str, only: str = "") -> list[Result]:
    """Run every case whose name contains ``only``, one after the other."""
    script = load()
    return [await run_case(url, case, script["procedures"]) for case in script["cases"] if only in case["name"]]
