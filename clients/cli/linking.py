"""``chappe chat --link`` and ``chappe devices``: starting as a new device, and looking after one's devices."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cyclopts

from clients.cli.options import CONNECT_S, DEFAULT_DATA, URL, Data, KeyFile, Url, opened

if TYPE_CHECKING:
    from clients.vault import Vault

command = cyclopts.App(name="devices", help="Your devices: list them, link a new one, revoke one.")


async def start_linked(url: str, vault: Vault, say: Callable[[str], None]) -> None:
    """Make a fresh vault that of a new device. Raises ``LinkFailed``."""
    from clients.cli.qr import for_terminal
    from clients.client import now_ms
    from clients.devices.linking import NewDevice

    new = NewDevice(url, vault, now_ms, os.urandom)
    say("On a device that you have, open `chappe chat` and type (good for ten minutes):")
    say(f"/link {new.code.text()}")
    for line in for_terminal(new.code.text(), sys.stdout):
        say(line)
    say("This device is yours now, with your history." if await new.link() else
        "This device is yours now; your history did not come in time, new messages will.")  # fmt: skip


async def start_recovered(url: str, vault: Vault, code: str, handle: str | None, say: Callable[[str], None]) -> None:
    """Make a fresh vault that of an account whose device is lost. Raises ``LinkFailed``, ``BadCode``."""
    from clients.client import now_ms
    from clients.devices.parcels import LinkFailed
    from clients.devices.recovery import recover

    if handle is None:
        raise LinkFailed("say whose account it is: --handle NAME")
    await recover(url, vault, code, handle, clock_ms=now_ms, entropy=os.urandom)
    say("Your account is back, on this device alone. What was said before is not; others see that it was recovered.")


@command.command(name="list")
def list_devices(url: Url = URL, *, data: Data = DEFAULT_DATA, key_file: KeyFile = None) -> None:
    """Show the devices of your account."""
    _run(url, data, key_file, "devices")


@command.command
def link(code: str, url: Url = URL, *, data: Data = DEFAULT_DATA, key_file: KeyFile = None) -> None:
    """Make the device that shows CODE one of yours."""
    _run(url, data, key_file, "link", code)


@command.command
def revoke(device: str, url: Url = URL, *, data: Data = DEFAULT_DATA, key_file: KeyFile = None) -> None:
    """Take a device off your account: the first digits of its key, as `list` shows them."""
    _run(url, data, key_file, "revoke", device)


def _run(url: str, data: Path, key_file: Path | None, verb: str, *words: str) -> None:
    """One verb with a connected client. Exit code 1: it failed, 2: the vault cannot be opened."""
    import trio

    from protocol.errors import ChappeError

    with opened("devices", data, key_file) as vault:
        try:
            trio.run(_verb, url, vault, verb, list(words))
        except (ChappeError, trio.TooSlowError) as error:
            print(f"chappe devices: {str(error) or 'the relay cannot be reached'}", file=sys.stderr)
            raise SystemExit(1) from None


SETTLE_S = 30  # and for what it said to be stored


async def _verb(url: str, vault: Vault, verb: str, words: list[str]) -> None:
    import trio

    from clients.cli.personal import Personal
    from clients.cli.room import Room
    from clients.client import open_client

    async with open_client(url, vault, requests=True) as client:
        with trio.fail_after(CONNECT_S):
            await client.wait_connected()
        for line in await Personal(Room(client), print).verbs[verb](words):
            print(line)
        with trio.move_on_after(SETTLE_S):
            await client.settled()
