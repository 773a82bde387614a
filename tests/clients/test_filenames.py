"""Names that a sender chose: none of them leads out of a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.filenames import NAME_BYTES_MAX, free_path, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ("..", "file"),
        ("/", "file"),
        ("", "file"),
        (".bashrc", "_bashrc"),
        ("...", "file"),
        ("a\x00b\n.txt", "ab.txt"),
        ("txt.\u202egpj.exe", "txt.gpj.exe"),
        ("what?*.txt", "what__.txt"),
        ("con.txt", "_con.txt"),
        ("LPT1", "_LPT1"),
        ("trailing. . ", "trailing"),
        ("  spaced .txt", "spaced.txt"),
        ("e\u0301.txt", "\u00e9.txt"),
    ],
)
def test_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=300))
def test_any_name_is_one_plain_name(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= NAME_BYTES_MAX
    assert not set(safe) & set('/\\\0<>:"|?*\n\r')
    assert not safe.startswith(".")
    assert (Path("/here") / safe).parent == Path("/here")
    assert safe_name(safe) == safe


def test_a_long_name_keeps_its_ending() -> None:
    safe = safe_name("ä" * 300 + ".jpeg")
    assert safe.endswith("ä.jpeg")
    assert len(safe.encode()) in (NAME_BYTES_MAX - 1, NAME_BYTES_MAX)
    assert len(safe_name("a." + "b" * 300)) == NAME_BYTES_MAX


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    assert free_path(tmp_path, "a.txt") == tmp_path / "a.txt"
    (tmp_path / "a.txt").touch()
    (tmp_path / "a (2).txt").symlink_to("nowhere")
    assert free_path(tmp_path, "a.txt") == tmp_path / "a (3).txt"
    (tmp_path / "plain").touch()
    assert free_path(tmp_path, "plain") == tmp_path / "plain (2)"
