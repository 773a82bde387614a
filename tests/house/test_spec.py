"""SPEC.md is current and complete: every generated part, every label that is hashed or signed, every default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import inspect

from protocol import limits
from protocol.frames import REGISTRY
from protocol.messages import REGISTRY as MESSAGES
from protocol.requests import EVENTS, METHODS
from tests.house import spec
from tests.house.documents import SPEC, Block
from tests.house.tree import ROOT

TEXT = (ROOT / SPEC).read_text(encoding="utf-8")
SUITE = "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519"
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


@pytest.mark.parametrize("block", spec.EXTRA, ids=lambda block: block.name)
def test_a_generated_part_is_current(block: Block) -> None:
    assert block.between(TEXT) == block.write(), "run: python -m tests.house.spec --write"


def test_nothing_in_it_is_generated_by_nobody() -> None:
    assert sorted(re.findall(r"<!-- generated: (.*?) -->", TEXT)) == sorted(block.name for block in spec.ALL)


def test_every_structure_that_a_frame_or_method_carries_is_explained() -> None:
    explained = set(spec.CARRIED)
    for struct in [*REGISTRY.values(), *METHODS.values(), *EVENTS.values(), *explained]:
        assert carried_by(inspect.type_info(struct)) <= explained


def carried_by(info: inspect.Type, top: bool = True) -> set[type]:
    """Structures inside a type."""
    match info:
        case inspect.StructType():
            inner = {found for field in info.fields for found in carried_by(field.type, False)}
            return inner if top else inner | {info.cls}
        case inspect.VarTupleType():
            return carried_by(info.item_type, False)
        case inspect.UnionType():
            return {found for item in info.types for found in carried_by(item, False)}
    return set()


@pytest.mark.parametrize("name", ["ids.py", "position.py", "identity.py", "feeds.py"])
def test_every_label_that_separates_hashes_and_signatures_is_in_it(name: str) -> None:
    source = Path(ROOT, "protocol", name).read_text(encoding="utf-8")
    labels = {found.removesuffix("\\x00") for found in re.findall(r'b"(chappe/v1/[^"]+)"', source)}
    labels |= set(re.findall(r'tagged_hash\(\s*"([^"]+)"', source))
    assert labels
    assert not [label for label in labels if f'"{label}"' not in TEXT]


def test_defaults_are_what_it_says() -> None:
    nothing = (None, 0, False, "", b"", (), msgspec.Raw(b"\xc0"))
    odd = {
        f"{name}.{field.name}"
        for name, struct in [
            *((frame.__name__, frame) for frame in REGISTRY.values()),
            *((struct.__name__, struct) for struct in spec.CARRIED),
            *((key[0], body) for key, body in MESSAGES.items()),
        ]
        for field in msgspec.structs.fields(struct)
        if not field.required and field.default not in nothing
    }
    assert odd == {"eph.typing.on", "eph.presence.status", "chat.poll.choices"}
    for name in odd:
        family, field = name.rsplit(".", 1)
        assert re.search(rf"`{field}` of\s+`{family}`", TEXT)


def test_bounds_are_named_as_they_are_called() -> None:
    prose = re.sub(r"<!-- generated: .*?<!-- end: .*? -->", "", TEXT, flags=re.DOTALL)
    found = set(re.findall(r"`([A-Z][A-Z0-9_]*_[A-Z0-9_]+)`", prose))
    named = found - {SUITE}
    assert len(named) > 20
    assert not [name for name in named if not hasattr(limits, name)]


class Inner(msgspec.Struct):
    """Not looked into: it has a row of its own."""

    a: Percent


class Outer(msgspec.Struct):
    """Numbers wherever they can hide."""

    one: Percent
    pair: tuple[int, Percent]
    many: tuple[Percent, ...]
    perhaps: Percent | None
    inner: Inner


def test_narrow_numbers_are_found_wherever_they_hide() -> None:
    found = [path for path, _ in spec.narrow(inspect.type_info(Outer), "x")]
    assert found == ["x.one", "x.pair", "x.pair", "x.many", "x.perhaps"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [([], 1, "roles is not current"), (["--write"], 0, "roles written"), ([], 0, "")],
)
def test_the_command(
    arguments: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "protocol").mkdir()
    page = tmp_path / SPEC
    page.write_text(TEXT.replace("| 4 | OWNER |", "| 4 | KING |") if says else TEXT)
    monkeypatch.setattr(spec, "ROOT", tmp_path)
    assert spec.main(arguments) == code
    assert says in capsys.readouterr().out
    assert (page.read_text() == TEXT) is (code == 0)


def test_the_command_says_where_marks_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "protocol").mkdir()
    (tmp_path / SPEC).write_text(TEXT.replace("<!-- generated: roles -->", ""))
    monkeypatch.setattr(spec, "ROOT", tmp_path)
    assert spec.main(["--write"]) == 1
    assert "<!-- generated: roles -->  <!-- end: roles -->" in capsys.readouterr().err
