"""A verb without a chat: what is printed, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from clients import account
from clients.cli import once
from clients.cli.room import Room
from clients.vault import Secret, Vault
from protocol.errors import ChappeError
from relay.testing import open_relay


@pytest.mark.parametrize(("error", "said"), [
    (ChappeError("no such thing"), "chappe x: no such thing"), (ValueError("no number"), "chappe x: no number"),
    (trio.TooSlowError(), "the relay at ws://r cannot be reached; nothing was sent"),
    (IndexError(), "a word is missing; /help shows what each verb wants"),
])  # fmt: skip
def test_what_fails_is_a_sentence(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    async def doing() -> list[str]:
        await trio.lowlevel.checkpoint()
        raise error

    assert once.show("x", "ws://r", doing, "/help") == 2
    assert said in capsys.readouterr().err


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    async def doing() -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["one", "two"]

    assert once.show("x", "ws://r", doing, "/help") == 0
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize("offline", [False, True])
async def test_a_client_for_a_moment(tmp_path: Path, offline: bool) -> None:
    vault = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    account.create_identity(vault, 1_700_000_000_000, lambda count: b"e" * count)

    async def who(words: list[str]) -> list[str]:
        await trio.lowlevel.checkpoint()
        if words:
            raise ChappeError("refused")
        return ["me"]

    def verbs_of(room: Room) -> once.Verbs:
        assert offline or room.client.connected
        return {"who": who}

    try:
        async with open_relay() as relay:
            assert await once.act(relay.url, vault, verbs_of, "who", [], offline=offline) == ["me"]
            with pytest.raises(ChappeError, match="refused"):
                await once.act(relay.url, vault, verbs_of, "who", ["x"], offline=offline)
    finally:
        vault.close()
