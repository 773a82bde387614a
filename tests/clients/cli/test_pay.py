"""``chappe pay``: the wallet without a chat."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients import account as accounts
from clients.cli import pay as module
from clients.cli.pay import pay
from clients.client import now_ms
from clients.vault import Secret, Vault
from tests.support.settlement import open_bank


def test_what_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert pay("dance", data=tmp_path) == 2
    assert "none of" in capsys.readouterr().err
    vault = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    accounts.create_identity(vault, now_ms(), lambda count: b"e" * count)
    vault.close()

    def missing(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
        raise IndexError

    async def lines(url: str, vault: Vault, verb: str, words: list[str]) -> list[str]:
        await trio.lowlevel.checkpoint()
        if verb == "refund":
            raise ValueError("no")
        if verb == "request":
            raise trio.TooSlowError
        return [verb] if words else missing(url, vault, verb, words)

    monkeypatch.setattr(module, "_run", lines)
    capsys.readouterr()
    assert pay("pay", "x", data=tmp_path) == 0
    assert capsys.readouterr().out == "pay\n"
    assert pay("pay", data=tmp_path) == 2
    assert pay("refund", data=tmp_path) == 2
    capsys.readouterr()
    assert pay("request", data=tmp_path) == 2
    assert "cannot be reached" in capsys.readouterr().err


async def test_it_is_a_client_for_a_moment(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        vault = Vault(tmp_path / "me.db", Secret.key_file(tmp_path / "me.key"))
        try:
            assert await module._run(bank.stage.relay.url, vault, "wallet", ["open", "EUR"]) == ["  0.00 EUR"]
            with pytest.raises(Exception, match="no contact"):
                await module._run(bank.stage.relay.url, vault, "pay", ["bob", "1", "EUR"])
        finally:
            vault.close()
