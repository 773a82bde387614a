"""``chappe chat``: talk from a terminal, or from a script with ``--json``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from clients.cli.options import DEFAULT_DATA, URL

if TYPE_CHECKING:
    from clients.vault import Secret, Vault

command = cyclopts.App(name="chat", help="Talk to people through a relay. Everything is end-to-end encrypted.")


@command.default
def chat(
    url: Annotated[str, Parameter(help="Address of the relay, as `chappe up` prints it.")] = URL,
    *,
    data: Annotated[Path, Parameter(help="Directory of your vault: keys and history. Keep it.")] = DEFAULT_DATA,
    handle: Annotated[str | None, Parameter(help="Name under which others find you at this relay.")] = None,
    key_file: Annotated[
        Path | None, Parameter(help="File with the key that seals the vault; made if missing (DATA/vault.key).")
    ] = None,
    passphrase_file: Annotated[
        Path | None, Parameter(help="File with a passphrase that seals the vault, instead of a key file.")
    ] = None,
    invite: Annotated[str | None, Parameter(help="Invitation to register with, where the relay wants one.")] = None,
    passphrase: Annotated[
        bool, Parameter(help="Ask for a passphrase that seals the vault, instead of a key file.", negative="")
    ] = False,
    link: Annotated[
        bool, Parameter(help="Begin as a new device of an account that you have: shows a code.", negative="")
    ] = False,
    recover: Annotated[
        str | None, Parameter(help="Your recovery code: bring your account back on this device; give --handle too.")
    ] = None,
    json: Annotated[bool, Parameter(help="For scripts: JSON lines in, JSON lines out.", negative="")] = False,
) -> None:
    """Open your vault (made at the first start), connect, and talk.

    The relay may be away: what you say waits in the vault and goes out in order when it is back.
    """
    import trio

    from clients.devices.code import BadCode
    from clients.devices.parcels import LinkFailed
    from clients.proof import read_invite
    from clients.vault import Vault, VaultError

    directory = data.expanduser()
    try:
        if invite is not None:
            read_invite(invite)
    except ValueError as error:
        print(f"chappe chat: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        vault = Vault(directory / "vault.db", _secret(directory, key_file, passphrase_file, passphrase))
    except VaultError as error:
        print(f"chappe chat: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    try:
        trio.run(_run, url, vault, handle, json, invite, link, recover)
    except KeyboardInterrupt:
        pass
    except (VaultError, LinkFailed, BadCode) as error:
        print(f"chappe chat: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        vault.close()


def _secret(directory: Path, key_file: Path | None, passphrase_file: Path | None, ask: bool) -> Secret:
    from getpass import getpass

    from clients.vault import Secret

    if ask:
        return Secret.passphrase(getpass("passphrase of your vault: "))
    if passphrase_file is not None:
        return Secret.passphrase(passphrase_file.expanduser().read_text().rstrip("\n"))
    return Secret.key_file((key_file or directory / "vault.key").expanduser())


async def _run(
    url: str, vault: Vault, handle: str | None, json: bool, invite: str | None, link: bool, recover: str | None
) -> None:  # fmt: skip
    import trio

    from clients.cli.lines import Lines
    from clients.cli.linking import start_linked, start_recovered
    from clients.cli.script import Script
    from clients.client import open_client

    if link:
        await start_linked(url, vault, print)
    if recover is not None:
        await start_recovered(url, vault, recover, handle, print)
    # Scripts serve whoever comes; people are asked about strangers.
    async with (
        open_client(url, vault, requests=not json, invite=invite) as client,
        trio.open_nursery() as nursery,
    ):
        face = Script(client, nursery) if json else Lines(client, nursery)
        if handle is not None:
            nursery.start_soon(face.take_handle, handle)
        await face.run()
        nursery.cancel_scope.cancel()
