"""``chappe devices`` and starting as a new device, against a relay in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import trio

from clients import account
from clients.cli import linking
from clients.cli.linking import start_linked, start_recovered
from clients.devices.code import LinkCode
from clients.devices.linking import approve
from clients.devices.parcels import LinkFailed
from clients.devices.recovery import make_code
from clients.vault import Secret, Vault
from relay.testing import open_relay
from tests.support.clients import URL, MemoryVault, open_world


@pytest.mark.parametrize("past", [True, False])
async def test_a_new_device_shows_its_code(past: bool, autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.client.now_ms", lambda: 1_750_000_000_000)
    async with open_world() as world:
        (alice,) = await world.people("alice")
        if not past:
            monkeypatch.setattr("clients.devices.linking.HASHES_MAX", 0)
        said: list[str] = []
        vault = world.vaults.setdefault("second", MemoryVault())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start_linked, f"{URL}?second", cast("Any", vault), said.append)
            await trio.testing.wait_all_tasks_blocked()
            await approve(alice, said[1].removeprefix("/link "))
        assert LinkCode.read(said[1].removeprefix("/link ")).device
        assert ("with your history" in said[-1]) is past


async def test_a_recovery_needs_a_name(autojump_clock: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clients.client.now_ms", lambda: 1_750_000_000_000)
    async with open_world() as world:
        (alice,) = await world.people("alice")
        await alice.claim_handle("alice")
        code, vault, said = await make_code(alice), MemoryVault(), list[str]()
        with pytest.raises(LinkFailed, match="--handle"):
            await start_recovered(URL, cast("Any", vault), code, None, said.append)
        await world.crash("alice")
        await start_recovered(f"{URL}?again", cast("Any", vault), code, "alice", said.append)
        assert said[0].startswith("Your account is back")


async def test_verbs_with_a_real_vault_and_relay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = Vault(tmp_path / "vault.db", Secret.key_file(tmp_path / "vault.key"))
    account.create_identity(fresh, 1_700_000_000_000, lambda count: b"e" * count)
    fresh.close()
    async with open_relay() as relay:
        await trio.to_thread.run_sync(lambda: linking.list_devices(relay.url, data=tmp_path))
        printed = capsys.readouterr().out
        assert "version 1" in printed
        key = printed.split()[8]

        def fails(action: Any, *words: str) -> int:
            with pytest.raises(SystemExit) as left:
                action(*words, relay.url, data=tmp_path)
            return cast("int", left.value.code)

        assert await trio.to_thread.run_sync(fails, linking.link, "chappe-link:AAAA") == 1
        assert await trio.to_thread.run_sync(fails, linking.revoke, "zzzz") == 1
        assert key
        (tmp_path / "vault.key").write_text("no key")
        assert await trio.to_thread.run_sync(fails, linking.revoke, "zzzz") == 2
