"""Names of files that somebody else has chosen: what is left of them when nothing dangerous is."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Final

NAME_BYTES_MAX: Final = 200  # file systems take 255; our own endings need room
FALLBACK: Final = "file"
_FORBIDDEN: Final = frozenset('<>:"|?*')  # on some system, or in some shell
_PORTS: Final = [f"{port}{n}" for port in ("com", "lpt") for n in range(10)]
_RESERVED: Final = frozenset({"con", "prn", "aux", "nul", *_PORTS})
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # controls, bidi overrides, what has no shape


def safe_name(name: str) -> str:
    """A plain name in one directory: no path, nothing hidden, nothing that a system reserves, never empty."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    shown = "".join("_" if char in _FORBIDDEN else char for char in name if unicodedata.category(char) not in _HIDDEN)
    shown = shown.strip(" ").rstrip(". ")
    if shown.startswith("."):
        shown = "_" + shown.lstrip(".")
    if shown.partition(".")[0].strip().lower() in _RESERVED:
        shown = "_" + shown
    return _cut(shown) or FALLBACK


def _cut(name: str) -> str:
    """At most ``NAME_BYTES_MAX`` bytes, with the ending kept if it is one."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, dot, ending = name, "", ""
    room = NAME_BYTES_MAX - len((dot + ending).encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + dot + ending


def free_path(directory: Path, name: str) -> Path:
    """A path in ``directory`` that nothing has yet: the name, else with a number before its ending."""
    stem, dot, ending = name.rpartition(".")
    if not stem:
        stem, dot, ending = name, "", ""
    path, number = directory / name, 1
    while path.exists() or path.is_symlink():
        number += 1
        path = directory / f"{stem} ({number}){dot}{ending}"
    return path
