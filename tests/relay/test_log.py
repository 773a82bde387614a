"""Log lines: one line each, whatever users write."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import log


@pytest.fixture
def _restored() -> Iterator[None]:
    handlers, level, propagate = log.LOGGER.handlers[:], log.LOGGER.level, log.LOGGER.propagate
    yield
    log.LOGGER.handlers[:] = handlers
    log.LOGGER.setLevel(level)
    log.LOGGER.propagate = propagate


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a="b"', r'"a=\"b\""'),
        ("line\r\nforged=1", r'"line\r\nforged=1"'),
        ("\x1b[31mred", r'"\u001b[31mred"'),
        ("del\x7f", r'"del\u007f"'),
        ("\u202eevil", r'"\u202eevil"'),
        (b"\x01" * 32, "01" * 8),
        (1.5, "1.500"),
        (7, "7"),
        (True, "true"),
        (None, "none"),
        ("x" * 400, '"' + "x" * 300 + r'\u2026"'),
    ],
)
def test_values(value: log.Value, expected: str) -> None:
    assert log.render(value) == expected


@given(st.text())
def test_no_text_breaks_a_line(text: str) -> None:
    line = log.line("event", {"who": text, "after": 1})
    assert line.isascii()
    assert line.isprintable()
    assert re.fullmatch(r'event who=([^ "=]+|"([^"\\]|\\.)*") after=1', line)


def test_levels(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        log.debug("a", n=1)
        log.info("b")
        log.warning("c")
        log.failure("d", ValueError("x"))
    assert [record.levelname for record in caplog.records] == ["DEBUG", "INFO", "WARNING", "ERROR"]
    with caplog.at_level(logging.ERROR):
        caplog.clear()
        log.debug("a")
        log.info("b")
    assert caplog.records == []


@pytest.mark.usefixtures("_restored")
def test_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log.to_stderr("warning")
    log.info("unseen")
    log.warning("seen", who="x y")
    err = capsys.readouterr().err
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 warning seen who="x y"\n', err)
