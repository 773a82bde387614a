"""``chappe backup``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relay.cli.backup import backup
from relay.run import CLUSTER_FILE
from storage.sqlite import FILE
from tests.contracts.kit import empty_database


def test_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert backup(data, tmp_path / "one.tar") == 2
    assert capsys.readouterr().err.startswith("chappe backup: ")
    data.mkdir()
    (data / FILE).write_bytes(empty_database())
    (data / CLUSTER_FILE).write_text("00" * 16)
    assert backup(data, tmp_path / "one.tar") == 0
    assert "0 topics with 0 entries" in capsys.readouterr().out
    assert backup(data, tmp_path / "two.tar", json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [FILE, CLUSTER_FILE]
