"""``chappe feed``: a client for a moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from clients.account import create_identity
from clients.cli import feed as module
from clients.client import now_ms
from clients.vault import Secret, Vault
from tests.support.feeds import open_town, people


def _vault(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    vault = Vault(home / "vault.db", Secret.key_file(home / "vault.key"))
    create_identity(vault, now_ms(), os.urandom)
    vault.close()
    return home


async def test_it_is_a_client_for_a_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with open_town(tmp_path) as town:
        await people(town, "ann")
        home = _vault(tmp_path / "me")

        def run(verb: str, *words: str, url: str = town.relay.url) -> int:
            return module.feed(verb, *words, url=url, data=home)

        assert await trio.to_thread.run_sync(run, "post", "hello") == 0
        assert "stored as" in capsys.readouterr().out
        assert await trio.to_thread.run_sync(run, "timeline") == 0
        assert "me: hello" in capsys.readouterr().out
        assert await trio.to_thread.run_sync(run, "like", "ffff") == 2
        assert "posts end with" in capsys.readouterr().err
        assert await trio.to_thread.run_sync(run, "post") == 2
        assert "a word is missing" in capsys.readouterr().err


def test_what_needs_no_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert module.feed("help") == 0
    assert "post TEXT" in capsys.readouterr().out
    assert module.feed("ranked", "local", url="ws://127.0.0.1:9/", data=_vault(tmp_path)) == 2
    assert "no model on this device" in capsys.readouterr().err
    assert module.feed("dance") == 2
    assert "none of post, timeline" in capsys.readouterr().err
