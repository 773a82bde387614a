"""Blobs in SQLite, and the check of their hash."""

from __future__ import annotations

import hashlib

import pytest

from protocol.limits import SEALED_CHUNK_BYTES_MAX as BLOB_BYTES_MAX
from storage.blobs import check
from tests.contracts.kit import Kit, key


def test_a_blob_is_checked_against_its_hash_and_bound() -> None:
    check(hashlib.sha256(b"data").digest(), b"data")
    with pytest.raises(ValueError, match="do not have the hash"):
        check(hashlib.sha256(b"data").digest(), b"Data")
    with pytest.raises(ValueError, match=f"at most {BLOB_BYTES_MAX}"):
        check(bytes(32), bytes(BLOB_BYTES_MAX + 1))


async def test_put_and_get(kit: Kit) -> None:
    large = bytes(range(256)) * (BLOB_BYTES_MAX // 256)
    digest = await kit.blob(large)
    await kit.blob(large)
    assert await kit.store.blobs.get(digest) == large
    assert await kit.store.blobs.get(key("none")) is None
