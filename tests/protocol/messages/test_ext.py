"""``ext.*``: the conversation with workers; what they carry stays as it came."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from protocol.messages import compose, ext, parse
from tests.protocol.messages.family import check_family, refuses


def test_the_family() -> None:
    check_family(ext, "ext", {"manifest", "request", "reply", "progress", "error"})


def test_parameters_and_results_are_kept_byte_exact() -> None:
    odd = msgspec.Raw(b"\xdc\x00\x01\xcd\x00\x01")
    for body in (ext.Request(method="m", params=odd), ext.Reply(result=odd)):
        assert parse(compose(body)).body == body


@pytest.mark.parametrize(
    ("type_name", "body"),
    [
        ("ext.manifest", {"name": "", "consumes": [], "produces": []}),
        ("ext.manifest", {"name": "x", "consumes": ["y"] * 65, "produces": []}),
        ("ext.manifest", {"name": "x", "consumes": []}),
        ("ext.manifest", {"name": "x", "consumes": [], "produces": [], "keeps": "x" * 1025}),
        ("ext.request", {}),
        ("ext.request", {"method": "x" * 65}),
        ("ext.request", {"method": "x", "params": {"a": 0.5}}),
        ("ext.progress", {"percent": 101}),
        ("ext.progress", {"percent": -1}),
        ("ext.error", {"code": 10_000}),
        ("ext.error", {"code": 1, "text": "x" * 513}),
    ],
)
def test_malformed(type_name: str, body: Any) -> None:
    refuses(type_name, body)
