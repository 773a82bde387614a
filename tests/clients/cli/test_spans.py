"""Spans of time as people type them."""

from __future__ import annotations

import pytest

from clients.cli.spans import BadSpan, span_ms


@pytest.mark.parametrize(
    ("text", "ms"), [("30m", 1_800_000), ("8H", 28_800_000), (" 2d ", 172_800_000), ("1w", 604_800_000)]
)
def test_spans(text: str, ms: int) -> None:
    assert span_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "h", "0m", "-1h", "1y", "1.5h", "999999m"])
def test_no_spans(text: str) -> None:
    with pytest.raises(BadSpan, match="30m"):
        span_ms(text)
