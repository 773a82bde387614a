"""The conformance kit: both clients pass against our relay, and fail where a relay is wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.frames import CLIENT_FRAMES, REGISTRY
from protocol.requests import METHODS
from relay import auth, subscribe
from relay.subscribe import Start
from relay.testing import open_relay
from tests.conformance import __main__ as command
from tests.conformance.runner import Result, filled, flat, load, run, run_case
from tests.conformance.values import Mismatch, Raw, Scope, pack, show, unpack
from tests.support.conformance_proof import NODE_MIN, b10_other_language, find_node, run_node
from tests.support.proof import NotRun
from tests.support.vectors import missing

SCRIPT = load()
CASES = len(SCRIPT["cases"])


def failures(results: list[Result]) -> str:
    return "\n".join(f"{result.name}: {result.why}" for result in results if result.why)


def frames_sent() -> list[list[Any]]:
    """Every frame that some case sends, those of batches too."""
    sent: list[list[Any]] = []
    for case in SCRIPT["cases"]:
        for step in flat(case["steps"], SCRIPT["procedures"]):
            frame = step.get("frame") if "send" in step or "ask" in step else None
            if isinstance(frame, list):
                sent += frame if isinstance(frame[0], list) else [frame]
    return sent


@pytest.mark.parametrize("durable", [False, True])
async def test_our_relay_passes(tmp_path: Path, durable: bool) -> None:
    async with open_relay(data=tmp_path if durable else None) as relay:
        results = await run(relay.url)
    assert not failures(results)
    assert len(results) == CASES


async def test_our_relay_passes_with_a_client_in_javascript() -> None:
    node = find_node()
    if node is None:
        missing(f"Node {NODE_MIN} or newer", "install it")
    async with open_relay() as relay:
        code, lines = await run_node(node, relay.url)
    assert not [line for line in lines if not line.startswith(("PASS", "{"))]
    vectors = json.loads(Path(command.__file__).parents[1].joinpath("vectors", "frames.json").read_bytes())
    assert json.loads(lines[-1]) == {
        "vectors": {"passed": sum(len(part) for part in vectors.values()), "failed": 0},
        "cases": {"passed": CASES, "failed": 0},
    }
    assert code == 0


async def test_the_client_in_javascript_fails_where_nobody_answers() -> None:
    node = find_node()
    if node is None:
        missing(f"Node {NODE_MIN} or newer", "install it")
    code, lines = await run_node(node, await closed_url())
    assert json.loads(lines[-1])["cases"] == {"passed": 0, "failed": CASES}
    assert code == 1


async def test_the_client_in_python_fails_where_nobody_answers() -> None:
    results = await run(await closed_url())
    assert len([result for result in results if result.why]) == CASES


async def closed_url() -> str:
    """Where nobody listens any more."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    return f"ws://127.0.0.1:{port}/ws"


def believes_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "is_proven", lambda *facts: True)


def skips_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    right = subscribe.place

    def place(*arguments: Any) -> Any:
        start = right(*arguments)
        return replace(start, next=start.next + 1) if isinstance(start, Start) else start

    monkeypatch.setattr(subscribe, "place", place)


def answers_acks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        subscribe.Subscriptions, "acknowledge", lambda self, frame: self._client.reply(frame.offset, b"\xc0")
    )


@pytest.mark.parametrize(
    ("spoil", "case"),
    [
        (believes_everybody, "login: a bad signature"),
        (believes_everybody, "login: a proof made for another connection"),
        (skips_an_entry, "reading: from a position"),
        (answers_acks, "reading: UNSUB"),
    ],
)
async def test_a_relay_that_is_wrong_is_found(
    spoil: Callable[[pytest.MonkeyPatch], None], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    async with open_relay() as relay:
        (result,) = await run(relay.url, case)
    assert "frame" in result.why


# -- the script -------------------------------------------------------------------------------------------------------
def test_every_frame_and_method_of_a_client_is_in_the_script() -> None:
    sent = frames_sent()
    assert {frame[0] for frame in sent if isinstance(frame[0], int)} >= CLIENT_FRAMES & REGISTRY.keys() - {6}
    assert {frame[2] for frame in sent if frame[0] == 15 and len(frame) > 2 and isinstance(frame[2], str)} >= {*METHODS}


def test_names_are_unique_and_no_procedure_is_idle() -> None:
    names = [case["name"] for case in SCRIPT["cases"]]
    assert len(set(names)) == len(names) > 50
    text = json.dumps(SCRIPT)
    assert not [name for name in SCRIPT["procedures"] if f'"do": "{name}"' not in text]


def test_parameters_are_filled_in() -> None:
    steps = [{"open": "%c"}, {"ask": "%c", "frame": ["%n", "$%who.key", "said %n", {"x_%c": "%%"}]}]
    assert filled(steps, {"c": "a", "n": 7, "who": "alice"}) == [
        {"open": "a"},
        {"ask": "a", "frame": [7, "$alice.key", "said 7", {"x_a": "%%"}]},
    ]


# -- the runner -------------------------------------------------------------------------------------------------------
WRONG: list[tuple[list[dict[str, Any]], str]] = [
    ([{"do": "open", "c": "a"}, {"send": "a", "bytes": "hex:c1"}, {"expect": "a", "frame": [3]}], "not 3"),
    ([{"do": "open", "c": "a"}, {"send": "a", "bytes": "hex:c1"}, {"expect": "a", "end": {"bye": 4501}}], "not 4501"),
    (
        [
            {"do": "open", "c": "a"},
            {"send": "a", "bytes": "hex:c1"},
            {"expect": "a", "end": {"bye": 4500, "websocket": 1}},
        ],
        "closed with 4500",
    ),
    (
        [{"do": "open", "c": "a"}, {"send": "a", "bytes": "hex:c1"}, {"expect": "a", "end": {"bye": None}}],
        "should have ended",
    ),
    (
        [
            {"do": "open", "c": "a"},
            {"send": "a", "frame": [17, 1000]},
            {"expect": "a", "frame": [3]},
        ],
        "closed",
    ),
    (
        [{"do": "open", "c": "a"}, {"send": "a", "frame": [5, 1]}, {"expect": "a", "unordered": [[6, 2], [6, 3]]}],
        "none",
    ),
    ([{"do": "open", "c": "a"}, {"equal": ["$nonce_a", "$cluster_a"]}], "should equal"),
    ([{"do": "open", "c": "a"}, {"differ": ["$nonce_a", "$nonce_a"]}], "should differ"),
]


@pytest.mark.parametrize(("steps", "says"), WRONG, ids=range(len(WRONG)))
async def test_a_mismatch_is_told(steps: list[dict[str, Any]], says: str) -> None:
    async with open_relay() as relay:
        result = await run_case(relay.url, {"name": "wrong", "steps": steps}, SCRIPT["procedures"])
    assert says in result.why
    assert result.why.startswith("step ")


async def test_silence_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.runner.WAIT_S", 0.05)
    async with open_relay() as relay:
        for last, says in (({"frame": [3]}, "nothing came"), ({"end": {"bye": None}}, "still open")):
            steps = [{"do": "open", "c": "a"}, {"expect": "a", **last}]
            assert says in (await run_case(relay.url, {"name": "", "steps": steps}, SCRIPT["procedures"])).why


def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 2
    for results, code in (([Result("one", "")], 0), ([Result("one", ""), Result("two", "why")], 1), ([], 1)):
        monkeypatch.setattr(command, "execute", lambda *arguments, results=results: results)
        assert command.main(["ws://127.0.0.1:1/ws"]) == code
    said = capsys.readouterr().out
    assert "FAIL two: why" in said
    assert "1 passed, 1 failed" in said


async def test_without_node_nothing_is_proved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotRun, match="Node"):
        await b10_other_language(1)
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.1.0\n")
    old.chmod(0o755)
    assert find_node() is None


# -- values and patterns ----------------------------------------------------------------------------------------------
def test_values() -> None:
    scope = Scope()
    run_id = scope.names["run"]
    assert scope.value([1, None, "text", "hex:00ff", {"cat": ["a", "hex:00"]}]) == [1, None, "text", b"\0\xff", b"a\0"]
    assert scope.value({"pack": [1, {"raw": "hex:c1"}]}) == b"\x92\x01\xc1"
    assert scope.value({"id": "m"}) == scope.value({"id": ["m", 0]})
    assert scope.value({"id": 3})[6:] == hashlib.sha256(run_id + b"id/3").digest()[:10]
    assert scope.value("$alice.root_seed") == hashlib.sha256(run_id + b"alice/root").digest()
    assert len({scope.value(f"$alice.{part}") for part in ("account", "device", "inbox")}) == 3
    assert scope.value({"handle": "one"}) == f"one-{run_id.hex()[:16]}"
    assert scope.value({"times": [2, [64]]}) == [[64], [64]]
    assert scope.value({"lower": ["hex:01", "hex:02"]}) == b"\x01" == scope.value({"higher": ["hex:01", "hex:00"]})
    with pytest.raises(KeyError):
        scope.value("$nobody.knows")


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (1, [1], [2, True, "1", None]),
        (False, [False], [0, None]),
        ("*", [None, [1]], []),
        ([1, "*"], [[1], [1, 2], [1, 2, 3]], [[2], 1, []]),
        ({"exactly": [1]}, [[1]], [[1, 2], [], 1]),
        ({"default": True}, [None, 0, False, "", b"", []], [1, "x", [0]]),
        ({"bytes": 2}, [b"ab"], [b"a", "ab"]),
        ({"at_least": 2}, [2, 3], [1, True, "3", None]),
        ({"has": 1}, [[2, 1]], [[2], 1]),
        ({"unpacked": [1]}, [b"\x91\x01"], [b"\x91\x02", [1], b"\xc1"]),
        ({"let": "x", "is": 1}, [1], [2]),
        ({"cat": ["a"]}, [b"a"], ["a", b"b"]),
    ],
)
def test_patterns(pattern: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        Scope().match(pattern, value)
    for value in bad:
        with pytest.raises(Mismatch):
            Scope().match(pattern, value)


def test_what_is_captured_can_be_used() -> None:
    scope = Scope()
    scope.match([{"let": "x"}], [b"1"])
    assert scope.value({"pack": ["$x"]}) == b"\x91\xc4\x011"


def test_packing() -> None:
    assert pack([Raw(b"\xcc\x05"), b"", "é", [None]]) == b"\x94\xcc\x05\xc4\x00\xa2\xc3\xa9\x91\xc0"
    assert show([b"\x01", "x", None]) == "[hex:01, 'x', None]"
    with pytest.raises(Mismatch):
        unpack(b"\x05\x05")
