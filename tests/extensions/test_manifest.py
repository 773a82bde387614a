"""The manifest that a worker shows."""

from __future__ import annotations

from pathlib import Path

import msgspec

from clients import records as R
from extensions.manifest import signed_manifest
from protocol.manifest import is_genuine
from tests.support.workers import database, make_worker


def test_it_is_the_accounts_word(tmp_path: Path) -> None:
    with database(tmp_path) as vault:
        identity = msgspec.msgpack.decode(vault.get(R.META, b"identity") or b"", type=R.Identity)
    manifest = signed_manifest(make_worker(keeps="all"), identity, 5)
    assert manifest is not None
    assert (manifest.made_ms, manifest.keeps) == (5, "all")
    assert is_genuine(manifest, identity.account)
    identity.root_seed = None
    assert signed_manifest(make_worker(), identity, 5) is None
