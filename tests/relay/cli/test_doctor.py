"""`chappe doctor`: its words, its JSON, its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.cli import doctor


def test_a_new_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAPPE_RELAY_PORT", "0")
    monkeypatch.setenv("CHAPPE_RELAY_OPS_PORT", "0")
    assert doctor.doctor(data=tmp_path / "none") == 0
    said = capsys.readouterr().out
    assert "warn  encryption: unaudited" in said
    assert "0 failed" in said
    assert doctor.doctor(data=tmp_path / "none", json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"]
    assert {"python", "packages", "versions", "clock", "data", "relay"} <= {check["name"] for check in shown["checks"]}


def test_damage_is_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAPPE_RELAY_PORT", "0")
    monkeypatch.setenv("CHAPPE_RELAY_OPS_PORT", "0")
    (tmp_path / "chappe.db").write_bytes(b"no database " * 1000)
    assert doctor.doctor(data=tmp_path) == 1
    assert "fail  database: damaged" in capsys.readouterr().out


def test_settings_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.doctor(config=tmp_path / "absent.toml") == 2
    assert "absent.toml" in capsys.readouterr().err
