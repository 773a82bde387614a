"""What the commands on a vault share: where it is, what opens it, and the relay it talks to."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.vault import Vault

URL = "ws://127.0.0.1:8790/ws"
DEFAULT_DATA = Path("~/.local/share/chappe/chat")  # one for all: who chats, pays and reads is the same person
Url = Annotated[str, Parameter(help="Address of the relay.")]
Data = Annotated[Path, Parameter(help="Directory of your vault.")]
KeyFile = Annotated[Path | None, Parameter(help="File with the key that seals the vault (DATA/vault.key).")]
PassphraseFile = Annotated[Path | None, Parameter(help="File with the passphrase that seals the vault, if one does.")]
CONNECT_S = 20  # a command that needs the relay waits this long for it
EXIT_REFUSED = 2


@contextmanager
def opened(name: str, data: Path, key_file: Path | None = None, passphrase_file: Path | None = None) -> Iterator[Vault]:
    """The vault of the command ``name``, with an account in it. Exit code 2: there is none, or it cannot be opened."""
    from clients import account
    from clients.vault import Secret, Vault, VaultError

    directory = data.expanduser()
    path = directory / "vault.db"
    try:
        if not path.exists():
            raise VaultError(f"there is no vault in {directory}; name its directory with --data")
        if passphrase_file is not None:
            secret = Secret.passphrase(passphrase_file.expanduser().read_text().rstrip("\n"))
        else:
            secret = Secret.key_file((key_file or directory / "vault.key").expanduser())
        vault = Vault(path, secret)
    except (VaultError, OSError) as error:
        print(f"chappe {name}: {error}", file=sys.stderr)
        raise SystemExit(EXIT_REFUSED) from None
    try:
        if not account.has_identity(vault):
            print(
                f"chappe {name}: the vault in {directory} has no account yet; `chappe chat` makes one", file=sys.stderr
            )
            raise SystemExit(EXIT_REFUSED)
        yield vault
    finally:
        vault.close()
