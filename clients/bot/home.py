"""Where a bot lives: a directory with its vault, the key file, and a note of who it is.

The note (``bot.json``: the bot's name and account, nothing secret) is how a vault that was deleted is noticed: a bot
that would begin again as somebody else says so and stops.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clients import account as accounts
from clients import records as R
from clients.bot.errors import BotError
from clients.vault import Secret, Vault
from protocol.ids import Entropy

_VAULT = "vault.db"
_NOTE = "bot.json"
_KEY = "vault.key"


@dataclass(frozen=True, slots=True)
class Home:
    """An open home. ``is_new``: nobody but this bot has lived in the vault."""

    vault: Vault
    account: bytes
    is_new: bool


@contextmanager
def open_home(
    data: Path, name: str, *, now_ms: Callable[[], int], key_file: Path | None = None, fresh: bool = False,
    entropy: Entropy = os.urandom,
) -> Iterator[Home]:  # fmt: skip
    """Open the vault in ``data``, with a new identity at the first start. Blocks on the disk.

    ``fresh``: begin as somebody new; what is there is moved aside. Raises ``BotError`` when the vault is not the one
    that was here before, ``VaultError`` when it cannot be opened.
    """
    if fresh:
        _move_aside(data, now_ms())
    noted = _read_note(data)
    if noted is not None and not (data / _VAULT).exists():
        raise BotError(
            f"the vault {data / _VAULT} is gone, and with it the keys of this bot (account {noted[:8]}…): put it back "
            "from a copy, or start with --fresh as somebody new, whom none of its conversations know"
        )
    vault = Vault(data / _VAULT, Secret.key_file(key_file or data / _KEY, entropy), entropy=entropy)
    try:
        known = vault.get(R.META, b"identity")
        if known is None:
            identity = accounts.create_identity(vault, now_ms(), entropy)
        else:
            identity = msgspec.msgpack.decode(known, type=R.Identity)
        if noted is None:
            _write_note(data, name, identity)
        elif noted != identity.account.hex():
            raise BotError(
                f"the vault in {data} is of account {identity.account.hex()[:8]}…, and this bot was {noted[:8]}…: put "
                "the right one back, or start with --fresh as somebody new"
            )
        yield Home(vault, identity.account, known is None or noted is not None)
    finally:
        vault.close()


def _read_note(data: Path) -> str | None:
    """The account that lived here before."""
    try:
        return str(json.loads((data / _NOTE).read_text(encoding="utf-8"))["account"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise BotError(f"{data / _NOTE} cannot be read; if the vault beside it is right, delete that file") from None


def _write_note(data: Path, name: str, identity: R.Identity) -> None:
    fresh = data / f"{_NOTE}.new"
    fresh.write_text(json.dumps({"bot": name, "account": identity.account.hex()}) + "\n", encoding="utf-8")
    fresh.rename(data / _NOTE)


def _move_aside(data: Path, now_ms: int) -> None:
    for name in (_VAULT, f"{_VAULT}-wal", f"{_VAULT}-shm", _NOTE):
        if (data / name).exists():
            (data / name).rename(data / f"{name}.old-{now_ms}")
