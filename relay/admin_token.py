"""The operator's token: a file in the data directory that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from relay import log
from relay.config import ConfigError

TOKEN_FILE: Final = "admin.token"
TOKEN_BYTES: Final = 32
_MODE: Final = 0o600


def admin_token(data: Path) -> str:
    """The token in the directory, made at the first start. One that others could read is replaced.

    Raises ``ConfigError`` where the file cannot be read or made.
    """
    file = data / TOKEN_FILE
    try:
        if file.exists() and not stat.S_IMODE(file.stat().st_mode) & 0o077:
            text = file.read_text(encoding="ascii").strip()
            if len(text) == 2 * TOKEN_BYTES:
                return text
        elif file.exists():
            log.warning("admin-token-replaced", why="others could read it", file=str(file))
        return _make(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be used: {error}") from None


def _make(file: Path) -> str:
    text = secrets.token_hex(TOKEN_BYTES)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(text + "\n")
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    return text
