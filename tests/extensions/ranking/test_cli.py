"""``chappe rank eval`` and ``chappe rank ship``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from extensions.host import open_database
from extensions.ranking import cli
from extensions.ranking.worker import worker
from protocol.scoring.local import open_model
from tests.extensions.ranking import films


@pytest.fixture
def path(tmp_path: Path) -> Path:
    films.write(tmp_path / "u.data", readers=12)
    return tmp_path / "u.data"


def test_a_table_and_a_plot(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.evaluate(data=path, models="popularity,cosine") == 0
    text = capsys.readouterr().out
    assert "mean over readers" in text
    assert text.count("popularity") == text.count("cosine") == 2
    assert "█" in text


def test_json(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.evaluate(data=path, protocol="per-user", models="chappe", json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["protocol"] == "per-user"
    assert told["results"][0]["calibration_error"] is not None
    assert len(cli.plot(())) == 1


def test_how_far_it_is_is_told_on_a_terminal(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cli.evaluate(data=path, models="popularity")
    assert "popularity: 0 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "why"), [("x\n", "line 1"), ("", "holds no interactions"), (None, "cannot be read"), ("é", "ascii")]
)
def test_a_file_that_is_none_is_refused(
    tmp_path: Path, text: str | None, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert cli.evaluate(data=path) == cli.EXIT_REFUSED
    assert why in capsys.readouterr().err


def test_a_model_is_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "worker", tmp_path / "model"
    assert cli.ship(file, data=data) == cli.EXIT_REFUSED
    assert "no worker's database" in capsys.readouterr().err
    data.mkdir()
    with open_database(worker, data):
        pass  # as a worker makes it at its first start
    assert cli.ship(file, data=data) == 0
    signer = bytes.fromhex(capsys.readouterr().out.split()[-1])
    assert open_model(file.read_bytes(), signer).posts == ()
    assert cli.ship(tmp_path, data=data) == cli.EXIT_REFUSED
    assert "directory" in capsys.readouterr().err


@pytest.mark.parametrize("models", ["", "best"])
def test_unknown_models_are_refused(path: Path, models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.evaluate(data=path, models=models) == cli.EXIT_REFUSED
    assert "--models takes" in capsys.readouterr().err
