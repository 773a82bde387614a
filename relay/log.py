"""Structured one-line logs to stderr: ``time level event key=value …``.

Rule 1.  A line is one line: whatever a user supplied is quoted, with control, bidirectional and other unprintable
         characters escaped (CR, LF and ANSI sequences included), and cut.
Rule 2.  Keys and signatures are named by their first 8 bytes in hex; bodies, headers and secrets are never logged.
"""

from __future__ import annotations

import datetime
import json
import logging
import traceback
from typing import Final

from relay.bounds import LOG_TEXT_CHARS_MAX

LOGGER: Final = logging.getLogger("chappe.relay")
Value = str | int | float | bool | bytes | None


def render(value: Value) -> str:
    """A value as it stands in a line: bytes as 16 hex digits, text as an ASCII JSON string where it is not plain."""
    if isinstance(value, bytes):
        return value[:8].hex()
    if isinstance(value, str):
        text = value if len(value) <= LOG_TEXT_CHARS_MAX else value[:LOG_TEXT_CHARS_MAX] + "…"
        plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
        # JSON escapes everything but DEL, which is unprintable ASCII.
        return text if plain else json.dumps(text).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return f"{value:.3f}"
    return "none" if value is None else str(value).lower()


def line(event: str, fields: dict[str, Value]) -> str:
    """Event and fields as one line, without time and level."""
    return " ".join([event, *(f"{key}={render(value)}" for key, value in fields.items())])


def info(event: str, **fields: Value) -> None:
    """Something an operator wants to know."""
    if LOGGER.isEnabledFor(logging.INFO):
        LOGGER.info("%s", line(event, fields))


def debug(event: str, **fields: Value) -> None:
    """Something only a person hunting a fault wants to know."""
    if LOGGER.isEnabledFor(logging.DEBUG):
        LOGGER.debug("%s", line(event, fields))


def warning(event: str, **fields: Value) -> None:
    """Something an operator should act on."""
    LOGGER.warning("%s", line(event, fields))


def failure(event: str, error: BaseException) -> None:
    """A bug: the traceback is folded into the line."""
    trace = "".join(traceback.format_exception(error))
    LOGGER.error("%s", f"failed what={render(event)} error={render(type(error).__name__)} trace={json.dumps(trace)}")


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        return f"{when} {record.levelname.lower()} {record.getMessage()}"


def to_stderr(level: str = "info") -> None:
    """Send the relay's log to stderr; called once by the commands, never by a library."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False
