"""Registering where it costs something, with a whole client at a real relay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from clients.client import open_client
from clients.events import Disconnected
from clients.proof import read_invite, solve
from clients.vault import Secret, Vault
from protocol.limits import PROOF_BITS_SOLVED_MAX
from protocol.puzzle import Puzzle, solves
from relay.admission.registration import invite_hash
from relay.testing import open_relay, small
from storage.decisions import Invite


def test_reading_an_invitation() -> None:
    assert read_invite(" " + "0a" * 16 + "\n") == b"\n" * 16
    for text in ("", "0a" * 15, "zz" * 16, "0a" * 17):
        with pytest.raises(ValueError, match="32 hex digits"):
            read_invite(text)


async def test_solving() -> None:
    puzzle = Puzzle(bytes(16), b"a" * 32, b"n" * 32, 12)
    proof = await solve(puzzle)
    assert proof is not None
    assert solves(puzzle, proof)


async def test_solving_can_be_cancelled() -> None:
    with trio.move_on_after(0.05) as scope:
        await solve(Puzzle(bytes(16), b"a" * 32, b"n" * 32, 60))
    assert scope.cancelled_caught


async def _ends_registered(url: str, path: Path, invite: str | None = None) -> bool:
    """Whether a new client gets in; False: the relay refused it for good."""
    vault = Vault(path / "vault.db", Secret.key_file(path / "vault.key"))
    try:
        with trio.fail_after(20):
            async with (
                open_client(url, vault, invite=invite, clock_ms=lambda: time.time_ns() // 1_000_000) as client,
                client.notices() as notices,
            ):
                async for notice in notices:
                    if isinstance(notice, Disconnected):
                        assert notice.retry_ms is None
                        return False
                    if client.connected:
                        return True
        raise AssertionError
    finally:
        vault.close()


async def test_a_client_works_for_its_registration(tmp_path: Path) -> None:
    async with open_relay(small(registration="proof-of-work", proof_bits=10)) as relay:
        assert await _ends_registered(relay.url, tmp_path)
        assert relay.node.counters.refusals["registration_proof"] == 1


async def test_a_client_does_not_work_for_ever(tmp_path: Path) -> None:
    async with open_relay(small(registration="proof-of-work", proof_bits=PROOF_BITS_SOLVED_MAX + 1)) as relay:
        assert not await _ends_registered(relay.url, tmp_path)


async def test_a_client_with_and_without_an_invitation(tmp_path: Path) -> None:
    async with open_relay(small(registration="invite")) as relay:
        assert not await _ends_registered(relay.url, tmp_path / "a")
        token = b"t" * 16
        await relay.store.admission.add_invite(Invite(invite_hash(token), 1, relay.clock_ms() + 10**6))
        assert await _ends_registered(relay.url, tmp_path / "b", token.hex())
        assert not await _ends_registered(relay.url, tmp_path / "c", token.hex())
