"""What must never be committed: paths of one machine, registry hosts, big blobs, left-over marks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files, text

#: Put together here, so that this file does not hold what it looks for.
FORBIDDEN = re.compile(
    "|".join(
        re.escape("".join(parts))
        for parts in (
            ("/wo", "rk/"),
            ("/tmp/", "brief"),
            ("/ro", "ot/"),
            ("/opt/", "pypi"),
            ("file:///", "opt"),
            ("pypi", ".org"),
            ("files.python", "hosted"),
            ("registry.npm", "js"),
            ("TO", "DO"),
            ("FIX", "ME"),
        )
    )
)
TEXT_BYTES_MAX = 512 * 1024
LOCKS = ("*.lock", "*-lock.json", "requirements*.txt")


def texts() -> list[Path]:
    """Every file that is text."""
    found = []
    for path in files():
        head = (ROOT / path).read_bytes()[:4096]
        if b"\0" not in head:
            found.append(path)
    return found


def test_no_machine_and_no_left_over_mark() -> None:
    hits = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(text(path).splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert not hits, "\n".join(hits)


def test_lock_files_name_no_host() -> None:
    locks = [path for path in files() if any(path.match(pattern) for pattern in LOCKS)]
    assert Path("requirements.lock") in locks
    for path in locks:
        found = re.findall(r"https?:|file:|--(?:extra-)?index-url|--find-links|--trusted-host| @ ", text(path))
        assert not found, f"{path} names a host: {sorted(set(found))}"


def test_the_lock_is_pinned_and_hashed() -> None:
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text(Path("requirements.lock"))).strip())
    assert len(blocks) > 30
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block
        assert "--hash=sha256:" in block, block.splitlines()[0]


@pytest.mark.parametrize("package", ["msgspec", "cryptography", "pynacl"])
def test_the_lock_serves_more_than_one_platform(package: str) -> None:
    """A compiled package has a wheel a platform: one or two hashes would mean that the lock knows only one."""
    block = text(Path("requirements.lock")).partition(f"\n{package}==")[2].partition("    # via")[0]
    assert block.count("--hash=sha256:") > 10


def test_nothing_big_is_committed() -> None:
    big = {str(path): size for path in files() if (size := (ROOT / path).stat().st_size) > TEXT_BYTES_MAX}
    assert not big
