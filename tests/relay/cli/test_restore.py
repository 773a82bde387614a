"""``chappe restore``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.cli.backup import backup
from relay.cli.restore import restore
from storage.sqlite import FILE
from tests.contracts.kit import empty_database


def test_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, file = tmp_path / "data", tmp_path / "one.tar"
    data.mkdir()
    (data / FILE).write_bytes(empty_database())
    assert backup(data, file) == 0
    assert restore(file, data) == 2
    assert "not empty" in capsys.readouterr().err
    assert restore(file, tmp_path / "one") == 0
    assert "0 conversations wait for an admin's client" in capsys.readouterr().out
    assert restore(file, tmp_path / "other", json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["recovering"] == 0
    assert said["generation"] > 1_700_000_000
