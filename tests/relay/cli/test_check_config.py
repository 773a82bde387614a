"""``chappe check-config``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.cli.check_config import check_config
from relay.config import FIELDS, Settings, load


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})


def test_what_it_prints_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_config() == 0
    out, err = capsys.readouterr()
    assert err == ""
    file = tmp_path / "relay.toml"
    file.write_text(out)
    assert load(file) == Settings()
    assert len(out.splitlines()) == len(FIELDS)


def test_json_and_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('host = "0.0.0.0"\n')
    assert check_config(file, json=True) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["settings"]["host"] == "0.0.0.0"
    assert len(said["insecure"]) == 1
    assert err.startswith("warning: clients connect to 0.0.0.0 without TLS")


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "relay.toml"
    file.write_text("prot = 1\n")
    assert check_config(file) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean 'port'?" in err
