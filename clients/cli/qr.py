"""Codes as QR, drawn with half blocks: two rows of modules a line, light ones drawn, as fits a dark terminal."""

from __future__ import annotations

import shutil
from typing import Final, TextIO

import segno

_BORDER: Final = 2  # modules; the standard asks for 4, readers are content with less
_BLOCKS: Final = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}  # (upper, lower) dark


def compact(text: str) -> str:
    """A code in the letters that QR packs best: upper case, without the dashes between groups. It reads the same."""
    kind, colon, letters = text.rpartition(":")
    return f"{kind.upper()}{colon}{letters.replace('-', '').replace(' ', '').upper()}"


def half_blocks(text: str) -> list[str]:
    """The lines that show ``text``. Raises ``ValueError`` if it fits no QR code."""
    modules = [tuple(map(bool, row)) for row in segno.make_qr(text, error="m").matrix_iter(border=_BORDER)]
    if len(modules) % 2:
        modules.append((False,) * len(modules[0]))
    pairs = zip(modules[::2], modules[1::2], strict=True)
    return ["".join(_BLOCKS[both] for both in zip(upper, lower, strict=True)) for upper, lower in pairs]


def for_terminal(text: str, stream: TextIO) -> list[str]:
    """The lines that show a code, where ``stream`` is a terminal that can show them; else none."""
    if not stream.isatty():
        return []
    try:
        lines = half_blocks(compact(text))
        "".join(_BLOCKS.values()).encode(stream.encoding)
    except ValueError:
        return []
    return lines if len(lines[0]) <= shutil.get_terminal_size().columns else []
