"""``chappe chat``: options, vaults and how it ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from clients.cli import chat
from clients.vault import Secret, Vault, VaultError

NOWHERE = "ws://127.0.0.1:9/ws"  # nobody listens at the discard port


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str, lines: bytes = b"") -> Any:
    """Run the verb with some input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    return chat.command([NOWHERE, *arguments], result_action="return_value")


def test_a_vault_is_made_and_opened_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = []
    for _ in range(2):
        call(monkeypatch, "--data", str(tmp_path), "--json", lines=b'{"do":"account"}\n{"do":"quit"}\n')
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        accounts += [record["account"] for record in records if "account" in record]
    assert len(accounts) == 2
    assert len(set(accounts)) == 1
    assert (tmp_path / "vault.key").stat().st_mode & 0o777 == 0o600


def test_lines_are_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "--data", str(tmp_path), lines=b"/quit\n")
    assert "your account is" in capsys.readouterr().out


def test_a_passphrase_from_a_file_or_from_the_person(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("correct horse\n")
    call(monkeypatch, "--data", str(tmp_path), "--passphrase-file", str(tmp_path / "phrase"), lines=b"/quit\n")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "correct horse")
    call(monkeypatch, "--data", str(tmp_path), "--passphrase", lines=b"/quit\n")
    with pytest.raises(VaultError):
        Vault(tmp_path / "vault.db", Secret.passphrase("wrong"))


def test_a_vault_that_cannot_be_opened_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    try:
        with pytest.raises(SystemExit) as ended:
            call(monkeypatch, "--data", str(tmp_path))
    finally:
        vault.close()
    assert ended.value.code == 2
    assert "another process" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), None), (VaultError("the disk is full"), 1)])
def test_how_it_ends(
    error: BaseException, code: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def run(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(trio, "run", run)
    if code is None:
        call(monkeypatch, "--data", str(tmp_path))
    else:
        with pytest.raises(SystemExit) as ended:
            call(monkeypatch, "--data", str(tmp_path))
        assert ended.value.code == code
        assert "the disk is full" in capsys.readouterr().err
    Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key")).close()  # it was closed


def test_a_handle_is_asked_for_and_missed_without_a_relay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call(monkeypatch, "--data", str(tmp_path), "--handle", "alice", lines=b"/quit\n")
    assert "others find you" not in capsys.readouterr().out
