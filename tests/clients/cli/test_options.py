"""The vault that a command opens, and what it says when it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clients import account
from clients.cli.options import EXIT_REFUSED, opened
from clients.vault import Secret, Vault

Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """What was printed when the vault was not opened."""

    def why(*arguments: Path | None) -> str:
        with pytest.raises(SystemExit) as left, opened("pay", *arguments):  # type: ignore[arg-type]
            raise AssertionError("it opened")
        assert left.value.code == EXIT_REFUSED
        said = capsys.readouterr().err
        assert said.startswith("chappe pay: ")
        return said

    return why


def made(path: Path, secret: Secret) -> None:
    """A vault with an account in it."""
    vault = Vault(path / "vault.db", secret)
    account.create_identity(vault, 1_700_000_000_000, lambda count: b"e" * count)
    vault.close()


def test_the_key_beside_the_vault_opens_it(tmp_path: Path) -> None:
    made(tmp_path, Secret.key_file(tmp_path / "vault.key"))
    with opened("pay", tmp_path) as vault:
        assert account.has_identity(vault)
    with opened("pay", tmp_path, tmp_path / "vault.key"):  # it was closed, and is open once again
        pass


def test_a_passphrase_in_a_file_opens_it(tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text("correct horse\n")
    made(tmp_path, Secret.passphrase("correct horse"))
    with opened("pay", tmp_path, None, words) as vault:
        assert account.has_identity(vault)


def test_nothing_there(tmp_path: Path, refused: Refused) -> None:
    assert "there is no vault" in refused(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_account_in_it(tmp_path: Path, refused: Refused) -> None:
    Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key")).close()
    assert "no account yet" in refused(tmp_path)


def test_another_program_has_it_open(tmp_path: Path, refused: Refused) -> None:
    made(tmp_path, Secret.key_file(tmp_path / "vault.key"))
    with opened("pay", tmp_path):
        assert "open" in refused(tmp_path)


def test_a_passphrase_file_that_is_not_there(tmp_path: Path, refused: Refused) -> None:
    made(tmp_path, Secret.key_file(tmp_path / "vault.key"))
    assert "words" in refused(tmp_path, None, tmp_path / "words")
