"""``chappe account``: look at what you have, take it with you, or give it up."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from clients.cli.options import DEFAULT_DATA, URL, Data, KeyFile, PassphraseFile, Url, opened

if TYPE_CHECKING:
    from clients.devices.farewell import Farewell
    from clients.shelf import Shelf
    from clients.vault import Vault

command = cyclopts.App(name="account", help="Your account: what is in it, take everything with you, give it up.")
VAULT_FILES = ("vault.db", "vault.db-wal", "vault.db-shm", "vault.lock", "vault.key")
STAYS = """\
What stays: messages and files that you sent are with the people you sent them to, and in their exports; nobody can take
them back. The relay keeps the sealed log of each conversation, which it cannot read, for as long as its other members
do. Other devices of yours are cut off at once; what they hold stays on them until you delete it there."""


@command.command
def show(*, data: Data = DEFAULT_DATA, key_file: KeyFile = None, passphrase_file: PassphraseFile = None) -> None:
    """Show who you are here: account, handle, devices, and how much the vault holds."""
    from clients import takeout

    with opened("account", data, key_file, passphrase_file) as vault:
        shelf = shelf_of(vault)
        who = takeout.profile(shelf)
        print(f"account   {who['account']}")
        print(f"handle    {who['handle'] or 'none yet'}")
        for device in who["devices"]:
            marks = ["this one"] * device["this_one"] + ["holds the root key"] * device["holds_root_key"]
            print(f"device    {device['device'][:8]}  {', '.join(marks)}".rstrip())
        print(f"contacts  {len(shelf.contacts)}, {len(shelf.blocked)} blocked")
        print(f"talks     {sum(1 for _ in takeout.conversations(shelf))}, {vault.last_seq()} events")


@command.command
def export(
    target: Annotated[Path, Parameter(help="A new directory, or a new file that ends with .zip.")],
    *,
    data: Data = DEFAULT_DATA,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    with_keys: Annotated[
        bool, Parameter(help="Also the keys, sealed under a passphrase that is asked for.", negative="")
    ] = False,
    keys_passphrase_file: Annotated[
        Path | None, Parameter(help="File with the passphrase for --with-keys, instead of being asked.")
    ] = None,
) -> None:
    """Write everything your vault holds to readable files (JSON lines and a README). Needs no relay.

    Close `chappe chat` first: a vault is open once. Files that were sent are listed, not included.
    """
    import os

    from clients import takeout
    from clients.client import now_ms

    passphrase = _keys_passphrase(keys_passphrase_file) if with_keys or keys_passphrase_file is not None else None
    with opened("account", data, key_file, passphrase_file) as vault:
        place = target.expanduser()
        try:
            counts = takeout.export(shelf_of(vault), place, now_ms(), passphrase=passphrase, entropy=os.urandom)
        except takeout.TakeoutError as error:
            print(f"chappe account: {error}", file=sys.stderr)
            raise SystemExit(1) from None
    print(f"{place}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))


@command.command
def delete(
    url: Url = URL,
    *,
    data: Data = DEFAULT_DATA,
    key_file: KeyFile = None,
    passphrase_file: PassphraseFile = None,
    yes: Annotated[bool, Parameter(help="Do not ask.", negative="")] = False,
) -> None:
    """Give your account up, on all devices, and delete this vault. This cannot be undone.

    Leaves your conversations, revokes every device of yours, then deletes the vault's files.
    """
    import trio

    from clients.connection import LinkDown
    from clients.devices.farewell import NotDeleted
    from clients.tasks import sole

    directory = data.expanduser()
    with opened("account", data, key_file, passphrase_file) as vault:
        if not yes:
            confirm(shelf_of(vault).identity.handle, input)
        try:
            parting = trio.run(_part, url, vault)
        except (NotDeleted, trio.TooSlowError, BaseExceptionGroup) as error:
            why = sole(error, (NotDeleted,))
            if not isinstance(why, NotDeleted | trio.TooSlowError | LinkDown):
                raise
            text = str(why) or "the relay cannot be reached; nothing was deleted"
            print(f"chappe account: {text}", file=sys.stderr)
            raise SystemExit(1) from None
    for name in VAULT_FILES:
        (directory / name).unlink(missing_ok=True)
    print(f"Your account is gone: every device is revoked, your name is free, the vault in {directory} is deleted.")
    print(f"Conversations left: {parting.left}" + f"; not told in time: {parting.kept}" * bool(parting.kept))
    print(STAYS)


def confirm(handle: str | None, ask: Callable[[str], str]) -> None:
    """Let a person type the handle (or, without one, ``delete``). Exit code 1: something else was typed."""
    word = handle or "delete"
    print(STAYS)
    if ask(f"To give your account up for good, type {word}: ").strip() != word:
        print("nothing was deleted", file=sys.stderr)
        raise SystemExit(1)


def shelf_of(vault: Vault) -> Shelf:
    """What a vault holds, to be read."""
    import os

    from clients.client import now_ms
    from clients.shelf import Shelf

    return Shelf(vault, lambda told: None, now_ms, os.urandom)


def _keys_passphrase(path: Path | None) -> str:
    from getpass import getpass

    if path is not None:
        return path.expanduser().read_text().rstrip("\n")
    first = getpass("passphrase for the keys: ")
    if not first or getpass("once more: ") != first:
        print("chappe account: the two are not the same, or empty; nothing was written", file=sys.stderr)
        raise SystemExit(1)
    return first


CONNECT_S = 20


async def _part(url: str, vault: Vault) -> Farewell:
    import trio

    from clients.client import open_client
    from clients.devices.farewell import give_up, leave_all

    async with open_client(url, vault, requests=True) as client:
        with trio.fail_after(CONNECT_S):
            await client.wait_connected()
        parting = await leave_all(client)
        await give_up(client)
        return parting
