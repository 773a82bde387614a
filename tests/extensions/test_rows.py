"""Rows that are read when they are asked for."""

from __future__ import annotations

import pytest

from extensions.rows import Item, Lazy


def test_lazy_rows() -> None:
    reads: list[bytes] = []
    stored = {bytes([n]): n for n in range(10)}

    def load(key: bytes) -> int | None:
        reads.append(key)
        return stored.get(key)

    rows: Lazy[int] = Lazy(load)
    assert (rows[b"\3"], rows[b"\3"], rows.get(b"x")) == (3, 3, None)
    assert reads == [b"\3", b"x"]
    with pytest.raises(KeyError):
        rows[b"y"]
    rows[b"z"] = 26
    assert list(rows) == [b"\3", b"z"]
    assert len(rows) == 2
    assert rows[b"\3"] == 3  # the last one used
    rows.trim(1, lambda key: False)
    assert list(rows) == [b"\3"]
    rows[b"\5"] = 5
    rows.trim(0, lambda key: key == b"\5")
    assert list(rows) == [b"\5"]
    rows.forget({5}, lambda key: key[0])
    assert list(rows) == []
    rows[b"\1"] = 1
    del rows[b"\1"]
    assert len(rows) == 0


def test_an_item_shows_no_content() -> None:
    item = Item(7, b"t", 1, b"i", b"a", b"d", 0, b"secret words")
    assert "secret" not in repr(item)
    assert item.name == (7).to_bytes(8, "big")
