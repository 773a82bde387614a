"""``chappe account``: shown, exported and given up, with real vaults and a relay in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from clients.account import create_identity
from clients.cli import account
from clients.cli.account import STAYS, confirm
from clients.client import now_ms, open_client
from clients.connection import Refusal
from clients.takeout import KEYS_FILE, open_keys
from clients.vault import Secret, Vault
from relay.testing import open_relay
from tests.support.clients import entropy_of

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that libsodium takes: a real one costs a second and 256 MiB."""
    monkeypatch.setattr("clients.takeout._OPS", 1)
    monkeypatch.setattr("clients.takeout._MEM", 8192)


def make(home: Path, *, passphrase: str | None = None) -> None:
    """A vault with an account in it."""
    secret = Secret.key_file(home / "vault.key") if passphrase is None else Secret.passphrase(passphrase)
    vault = Vault(home / "vault.db", secret)
    create_identity(vault, now_ms(), entropy_of(str(home)))
    vault.close()


def code(action: Callable[..., None], *arguments: Any, **options: Any) -> int:
    """How a command that fails ends."""
    with pytest.raises(SystemExit) as left:
        action(*arguments, **options)
    return cast("int", left.value.code)


def test_show_and_export(tmp_path: Path, capsys: Printed) -> None:
    home = tmp_path / "me"
    make(home)
    account.show(data=home)
    printed = capsys.readouterr().out
    assert "none yet" in printed
    assert "this one, holds the root key" in printed
    account.export(tmp_path / "out", data=home)
    assert "0 messages" in capsys.readouterr().out
    assert not (tmp_path / "out" / KEYS_FILE).exists()
    assert code(account.export, tmp_path / "out", data=home) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_vault_under_a_passphrase_and_keys_under_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    home, words = tmp_path / "me", tmp_path / "words"
    make(home, passphrase="of the vault")
    words.write_text("of the vault\n")
    keys = tmp_path / "keys"
    keys.write_text("of the keys\n")
    account.export(tmp_path / "out", data=home, passphrase_file=words, keys_passphrase_file=keys)
    assert open_keys((tmp_path / "out" / KEYS_FILE).read_bytes(), "of the keys")["device_seed"]
    typed = iter(["typed", "typed", "typed", "mistyped", ""])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    account.export(tmp_path / "again", data=home, passphrase_file=words, with_keys=True)
    assert open_keys((tmp_path / "again" / KEYS_FILE).read_bytes(), "typed")
    for _ in range(2):
        assert code(account.export, tmp_path / "never", data=home, passphrase_file=words, with_keys=True) == 1
        assert "not the same" in capsys.readouterr().err


def test_no_vault_no_account_and_the_wrong_key(tmp_path: Path, capsys: Printed) -> None:
    assert code(account.show, data=tmp_path / "nothing") == 2
    assert "there is no vault" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
    empty = tmp_path / "empty"
    Vault(empty / "vault.db", Secret.key_file(empty / "vault.key")).close()
    assert code(account.show, data=empty) == 2
    assert "no account yet" in capsys.readouterr().err
    (empty / "vault.key").write_text("no key")
    assert code(account.show, data=empty) == 2
    assert code(account.show, data=empty, passphrase_file=tmp_path / "missing") == 2


async def test_delete(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "me"
    make(home)
    (home / "notes.txt").write_text("not of the vault")
    async with open_relay() as relay:
        other = Vault(tmp_path / "other" / "vault.db", Secret.key_file(tmp_path / "other" / "vault.key"))
        async with open_client(relay.url, other) as bob:
            vault = Vault(home / "vault.db", Secret.key_file(home / "vault.key"))
            async with open_client(relay.url, vault) as alice:
                await alice.wait_connected()
                await alice.claim_handle("alice")
                await bob.wait_connected()
                talk = await bob.pair(alice.account)
                await talk.send("hello")
                with trio.fail_after(20):
                    while talk.topic not in alice.conversations:
                        await alice.wait_news()
            vault.close()
            monkeypatch.setattr("builtins.input", lambda prompt: "alicia")
            assert await trio.to_thread.run_sync(lambda: code(account.delete, relay.url, data=home)) == 1
            assert "nothing was deleted" in capsys.readouterr().err
            monkeypatch.setattr("builtins.input", lambda prompt: " alice ")
            await trio.to_thread.run_sync(lambda: account.delete(relay.url, data=home))
            printed = capsys.readouterr().out
            assert printed.count(STAYS) == 2
            assert "Conversations left: 1" in printed
            assert [path.name for path in home.iterdir()] == ["notes.txt"]
            with trio.fail_after(20):
                while len(talk.members) > 1:
                    await bob.wait_news()
            with pytest.raises(Refusal, match="nobody has this handle"):
                await bob.find("alice")
        other.close()


def test_a_relay_that_is_away_deletes_nothing(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "me"
    make(home)
    monkeypatch.setattr(account, "CONNECT_S", 0.2)
    assert code(account.delete, "ws://127.0.0.1:9/ws", data=home, yes=True) == 1
    assert "nothing was deleted" in capsys.readouterr().err
    assert (home / "vault.db").exists()


def test_confirming_without_a_handle(capsys: Printed) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "delete"

    confirm(None, answer)
    assert "type delete" in asked[0]
