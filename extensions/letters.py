"""What an operator sees of a worker from outside, beside its processes or while none runs: figures and dead letters.

Only here, where the key file is, can a dead letter be read: the relay has nothing but what is sealed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from clients import records as R
from clients.vault import Batch, Secret
from extensions import bounds as B
from extensions.errors import WorkerError
from extensions.host import DATABASE, KEY
from extensions.rows import DEAD, ITEMS, ORDERS, Dead, Item, Order
from extensions.store import WorkerVault, is_running, place_of
from protocol.errors import RemoteProtocolError
from protocol.ids import slot_of
from protocol.messages import Body, parse


@dataclass(frozen=True, slots=True)
class Look:
    """Figures of a worker. ``oldest_ms``: when the oldest waiting job came, Unix ms; 0: none waits."""

    name: str
    account: str
    running: bool
    depth: int
    oldest_ms: int
    retrying: int
    attempts: int
    dead: int


@contextmanager
def opened(data: Path, name: str, key_file: Path | None = None) -> Iterator[WorkerVault]:
    """The database of a worker under ``data``. Raises ``WorkerError``, ``VaultError``."""
    home = data / name
    if not (home / DATABASE).exists():
        known = ", ".join(names(data)) or "none"
        raise WorkerError(f"no worker {name!r} has run in {data}; those that have: {known}")
    vault = WorkerVault(home / DATABASE, Secret.key_file(key_file or home / KEY))
    try:
        yield vault
    finally:
        vault.close()


def names(data: Path) -> list[str]:
    """The workers that have run under ``data``."""
    return sorted(path.parent.name for path in data.glob(f"*/{DATABASE}"))


def look(data: Path, name: str) -> Look:
    """Figures of a worker. Raises ``WorkerError``, ``VaultError``."""
    running = is_running(data / name / DATABASE)
    with opened(data, name) as vault:
        identity = vault.get(R.META, b"identity")
        account = "" if identity is None else msgspec.msgpack.decode(identity, type=R.Identity).account.hex()
        items = [item for slot in vault.places(ITEMS) for item in R.rows(vault, place_of(ITEMS, slot), Item)]
        attempts = [item.attempts for item in items if item.attempts]
        return Look(
            name, account, running, len(items), min((item.ts for item in items), default=0), len(attempts),
            sum(attempts), sum(vault.places(DEAD).values()),
        )  # fmt: skip


def letters(vault: WorkerVault) -> list[Dead]:
    """The dead letters, oldest first, at most ``DEAD_LISTED`` of them."""
    found = [letter for slot in vault.places(DEAD) for letter in R.rows(vault, place_of(DEAD, slot), Dead)]
    return sorted(found, key=lambda letter: letter.item.number)[: B.DEAD_LISTED]


def find(vault: WorkerVault, number: int) -> Dead:
    """The letter of that number. Raises ``WorkerError``."""
    known = letters(vault)
    for letter in known:
        if letter.item.number == number:
            return letter
    raise WorkerError(f"there is no dead letter {number}; there are: {[letter.item.number for letter in known]}")


def decide(vault: WorkerVault, number: int, *, skip: bool) -> Dead:
    """Have a letter forgotten or run again: by the process that has its slot, within a second, or at the next start.

    Durable on return. Raises ``WorkerError``.
    """
    letter = find(vault, number)
    order = Order(number, slot_of(letter.item.topic), skip)
    batch = Batch()
    batch.put(ORDERS, number.to_bytes(8, "big"), msgspec.msgpack.encode(order))
    vault.commit([batch])
    return letter


def content_of(letter: Dead) -> str:
    """What the message says, as JSON."""
    try:
        body = parse(letter.item.content).body
    except RemoteProtocolError as error:
        return json.dumps({"malformed": error.text})
    known: dict[str, Any] = msgspec.to_builtins(body, builtin_types=(bytes,)) if isinstance(body, Body) else {}
    return json.dumps({"type": getattr(body, "TYPE", "?"), **known}, default=_shown)


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else bytes(value).hex() if isinstance(value, msgspec.Raw) else "?"
