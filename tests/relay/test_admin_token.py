"""The operator's token: made once, private, replaced where others could read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.admin_token import TOKEN_FILE, admin_token
from relay.config import ConfigError


def test_made_once_and_private(tmp_path: Path) -> None:
    token = admin_token(tmp_path)
    assert len(token) == 64
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert admin_token(tmp_path) == token


def test_one_that_others_could_read_is_replaced(tmp_path: Path) -> None:
    token = admin_token(tmp_path)
    (tmp_path / TOKEN_FILE).chmod(0o644)
    assert admin_token(tmp_path) != token
    assert (tmp_path / TOKEN_FILE).stat().st_mode & 0o777 == 0o600


def test_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / TOKEN_FILE
    file.touch(mode=0o600)
    assert len(admin_token(tmp_path)) == 64


def test_where_it_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"admin\.token"):
        admin_token(tmp_path / "absent")
