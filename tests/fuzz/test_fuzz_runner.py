"""The runner of long fuzzing: it tries the same for the same seed, finds what is wrong, and says so."""

from __future__ import annotations

import json
import os
import random

import pytest

from protocol.errors import RemoteProtocolError
from tests.fuzz import __main__ as runner
from tests.fuzz.__main__ import Progress, fuzz, main
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import Target, targets
from tests.support.fuzz_proof import fuzz_minutes
from tests.support.proof import Unproved


def test_a_turn_of_every_target_finds_nothing() -> None:
    progress = fuzz(0, 7)
    assert [each.name for each in progress] == list(targets())
    assert [finding for each in progress for finding in each.findings] == []
    for each in progress:
        assert each.executions == runner.TURN
        assert len(each.outcomes) >= 2, each.name


def test_the_same_seed_tries_the_same() -> None:
    one, same, other = [fuzz(0, seed, "contents")[0] for seed in (1, 1, 2)]
    assert one.corpus == same.corpus
    assert one.corpus != other.corpus


def _broken(data: bytes) -> str:
    if data[:1] == b"\xff":
        raise KeyError("a bug")
    if data[:1] == b"\x00":
        raise RemoteProtocolError("refused", fatal=False)
    return "read"


def test_what_escapes_is_found_with_its_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target(_broken, (b"\x00", b"a", b"\xff"), (RemoteProtocolError,))
    monkeypatch.setattr(runner, "targets", lambda: {"broken": target})
    affinity: list[object] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda *given: affinity.append(given), raising=False)
    assert main(["--minutes", "0", "--seed", "3"]) == 1
    assert affinity
    *lines, last = capsys.readouterr().out.splitlines()
    assert any("KeyError" in line and line.startswith("FOUND broken: ") and ": ff" in line for line in lines)
    figures = json.loads(last)
    assert figures["targets"]["broken"]["outcomes"] == 3
    assert 0 < figures["findings"] <= runner.FINDINGS_MAX


def test_what_is_slow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SLOW_S", -1.0)
    progress = Progress("slow", Target(_broken, (b"a",), ()), random.Random(1))
    progress.attempt(b"abc")
    assert progress.findings == ["slow: it took 0.0 s: 616263"]


def test_no_target_is_no_success() -> None:
    assert fuzz(0, 1, "no such target") == []


def test_mutations_stay_within_their_size() -> None:
    rng = random.Random(5)
    corpus = [b"", bytes(5000), b"\x93\x01\x02\x81\xa1a\x01"]
    made = {mutate(rng, data, corpus) for data in corpus for _ in range(300)}
    assert len(made) > 300
    assert max(map(len, made)) == 4096


async def test_the_proof_runs_it_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = await fuzz_minutes(11, minutes=0)
    assert figures["executions"] == runner.TURN * len(targets())
    assert figures["findings"] == 0
    monkeypatch.setattr("tests.support.fuzz_proof.SLACK_S", 0)
    with pytest.raises(Unproved, match="hangs"):
        await fuzz_minutes(11, minutes=0)
