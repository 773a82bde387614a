"""A bot is who it was, or says so and stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clients.bot.errors import BotError
from clients.bot.home import open_home
from clients.vault import Vault, VaultError
from tests.clients.bot.support import NOW_MS


def start(data: Path, *, fresh: bool = False, key_file: Path | None = None) -> tuple[bytes, bool]:
    """(account, is_new) of one start."""
    with open_home(data, "echo", now_ms=lambda: NOW_MS, fresh=fresh, key_file=key_file) as home:
        assert isinstance(home.vault, Vault)
        return home.account, home.is_new


def test_the_first_start_makes_an_identity_and_later_ones_keep_it(tmp_path: Path) -> None:
    account, is_new = start(tmp_path / "deep" / "bot")
    assert is_new
    assert start(tmp_path / "deep" / "bot") == (account, True)
    note = json.loads((tmp_path / "deep" / "bot" / "bot.json").read_text())
    assert note == {"bot": "echo", "account": account.hex()}


def test_a_vault_that_was_somebodys_before(tmp_path: Path) -> None:
    account, _ = start(tmp_path)
    (tmp_path / "bot.json").unlink()
    assert start(tmp_path) == (account, False)


def test_the_key_may_lie_elsewhere(tmp_path: Path) -> None:
    start(tmp_path / "bot", key_file=tmp_path / "key")
    assert not (tmp_path / "bot" / "vault.key").exists()
    with pytest.raises(VaultError, match="does not open"):
        start(tmp_path / "bot")


def test_a_deleted_vault_is_refused_and_fresh_begins_as_somebody_new(tmp_path: Path) -> None:
    account, _ = start(tmp_path)
    (tmp_path / "vault.db").unlink()
    with pytest.raises(BotError, match=rf"vault.db is gone.*account {account.hex()[:8]}….*--fresh"):
        start(tmp_path)
    other, is_new = start(tmp_path, fresh=True)
    assert is_new
    assert other != account
    assert (tmp_path / f"bot.json.old-{NOW_MS}").exists()


def test_fresh_moves_the_old_vault_aside_whole(tmp_path: Path) -> None:
    account, _ = start(tmp_path)
    assert start(tmp_path, fresh=True)[0] != account
    (tmp_path / f"vault.db.old-{NOW_MS}").rename(tmp_path / "vault.db")
    with pytest.raises(BotError, match=rf"is of account {account.hex()[:8]}….*put the right one back"):
        start(tmp_path)
    (tmp_path / "bot.json").unlink()
    assert start(tmp_path) == (account, False)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null"])
def test_a_note_that_cannot_be_read_is_said(text: str, tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "bot.json").write_text(text)
    with pytest.raises(BotError, match=r"bot.json cannot be read; if the vault beside it is right, delete that file"):
        start(tmp_path)
