"""The manifest as a worker shows it: signed by its account, in every conversation that it is let into."""

from __future__ import annotations

import msgspec

from clients.records import Identity
from extensions.worker import Worker
from protocol.identity import SigningKey
from protocol.manifest import sign_manifest
from protocol.messages.ext import Manifest


def signed_manifest(worker: Worker, identity: Identity, now_ms: int) -> Manifest | None:
    """What a worker says of itself; None on a device that does not hold the account's root key."""
    if identity.root_seed is None:
        return None
    return sign_manifest(msgspec.structs.replace(worker.manifest, made_ms=now_ms), SigningKey(identity.root_seed))
