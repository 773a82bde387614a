"""The command `chappe worker`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from extensions import cli, program
from extensions.errors import WorkerError
from extensions.letters import look
from extensions.store import WorkerVault
from tests.extensions.test_letters import fill

DICE = str(Path(__file__).resolve().parents[2] / "examples" / "dice.py")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = cli.command(list(arguments), result_action="return_value")
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    return int(code or 0), said.out, said.err


def test_workers_by_name(tmp_path: Path) -> None:
    assert cli.load(DICE).name == "dice"
    assert cli.load(f"{DICE}:worker").name == "dice"
    for name in ("nonsense", "nowhere.at_all:worker", str(tmp_path / "none.py"), "extensions.worker:nothing"):
        with pytest.raises(WorkerError):
            cli.load(name)
    with pytest.raises(WorkerError, match="is no worker"):
        cli.load("extensions.worker:Worker")


def test_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def run_worker(worker: object, url: str, data: Path, key: Path | None, *, beside: bool) -> int:
        seen.append((repr(worker), url, data, key, beside))
        return 0

    monkeypatch.setattr(program, "run_worker", run_worker)
    assert call(capsys, "run", DICE, "--relay", "ws://x/ws", "--data", str(tmp_path), "--beside")[0] == 0
    assert seen == [("Worker('dice')", "ws://x/ws", tmp_path / "dice", None, True)]
    code, _, error = call(capsys, "run", "nonsense")
    assert code == 2
    assert "no worker is called" in error


def test_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "list", "--data", str(tmp_path)) == (0, "", "")
    fill(tmp_path)
    _, out, _ = call(capsys, "list", "--data", str(tmp_path))
    assert out.startswith("worker  stopped")
    assert "3 dead" in out
    _, out, _ = call(capsys, "list", "--data", str(tmp_path), "--json")
    assert json.loads(out)["depth"] == 2


def test_dead_letters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path)
    data = ("--data", str(tmp_path))
    _, out, _ = call(capsys, "dead", "list", "worker", *data)
    assert [line.split()[0] for line in out.splitlines()] == ["3", "4", "5"]
    _, out, _ = call(capsys, "dead", "show", "worker", "3", *data)
    assert "roll" in out
    assert "is run again" in call(capsys, "dead", "replay", "worker", "3", *data)[1]
    assert "is forgotten" in call(capsys, "dead", "skip", "worker", "4", *data)[1]
    code, _, error = call(capsys, "dead", "skip", "worker", "9", *data)
    assert code == 2
    assert "there is no dead letter 9" in error
    assert call(capsys, "dead", "list", "nobody", *data)[0] == 2
    assert look(tmp_path, "worker").name == "worker"
    assert WorkerVault.__name__
