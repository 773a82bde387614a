"""Writes ``tests/vectors/frames.json``: what this version puts on the wire, byte for byte.

``python -m tests.protocol.frame_vectors`` says whether the file is current, ``--write`` brings it up to date. Bytes
that a frame had before a field was added move to ``older``: they must decode for ever.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import msgpack
import msgspec

from protocol import identity, ids, padding, position
from protocol.codec import encode_struct
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.position import Seen
from tests.protocol.samples import (
    ACCOUNT,
    CHALLENGE,
    CLUSTER,
    DEVICE,
    HEADERS,
    ID,
    NONCES,
    SAMPLES,
    TOPIC,
    filler,
    plain,
)  # fmt: skip

PATH: Final = Path(__file__).resolve().parents[1] / "vectors" / "frames.json"
OTHER: Final = identity.SigningKey(filler("other account", 32))
DAY_MS: Final = 86_400_000
LIST: Final = identity.DeviceList(
    ACCOUNT.public, 3, 20_000 * DAY_MS, 20_030 * DAY_MS,
    (
        identity.Device(ACCOUNT.public, filler("inbox one", 32), 19_000 * DAY_MS, True),
        identity.Device(DEVICE.public, filler("inbox two", 32), 19_500 * DAY_MS, False),
    ),
    OTHER.public,
)  # fmt: skip


def readable(value: Any) -> Any:
    """Bytes as ``hex:…``, everything else as JSON has it."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    return value


def derived() -> dict[str, tuple[dict[str, Any], bytes | str]]:
    """Every derived value that both ends compute: name -> (arguments, result)."""
    entry: dict[str, Any] = {
        "generation": 1, "offset": 42, "account": ACCOUNT.public, "device": DEVICE.public, "message_id": ID, "fence": 5,
        "flags": 6, "header": b"header", "body": b"body",
    }  # fmt: skip
    bound: dict[str, Any] = {
        "topic": TOPIC, "message_id": ID, "flags": 6, "ttl": 1000, "header": b"header", "group": 0, "fence": 5,
    }  # fmt: skip
    publish: dict[str, Any] = {
        "topic": TOPIC, "flags": 6, "ttl": 1000, "epoch": (0, 5), "header": b"header", "body": b"body",
        "bundle": b"bundle",
    }  # fmt: skip
    login = {
        "cluster": CLUSTER, "relay_nonce": NONCES[0], "client_nonce": NONCES[1], "version": 1,
        "account": ACCOUNT.public, "device": DEVICE.public,
    }  # fmt: skip
    pair = {"one": ACCOUNT.public, "other": OTHER.public}
    text = compose(Text(text="Salut"), seen=Seen(1, 41, filler("chain", 32)))
    return {
        "topic of a pair": (pair, ids.pair_topic(ACCOUNT.public, OTHER.public)),
        "topic of a group": (
            {"creator": ACCOUNT.public, "nonce": filler("founding", 16)},
            ids.group_topic(ACCOUNT.public, filler("founding", 16)),
        ),
        "topic of an inbox": ({"account": ACCOUNT.public}, ids.inbox_topic(ACCOUNT.public)),
        "topic of the own devices": ({"account": ACCOUNT.public}, ids.self_topic(ACCOUNT.public)),
        "topic of a feed": ({"account": ACCOUNT.public}, ids.feed_topic(ACCOUNT.public)),
        "first chain hash": (
            {"topic": TOPIC, **entry},
            position.chain_hash(position.chain_start(TOPIC), **entry),
        ),
        "authenticated data": (bound, position.authenticated_data(**bound)),
        "publish digest": (publish, position.publish_digest(**publish)),
        "login challenge": (login, CHALLENGE),
        "login signature": (
            {"seed": DEVICE.seed, "challenge": CHALLENGE},
            identity.sign_challenge(DEVICE, CHALLENGE),
        ),
        "signed device list": ({"seed": ACCOUNT.seed, "list": plain(LIST)}, identity.sign_list(LIST, ACCOUNT)),
        "safety number": (pair, identity.safety_number(ACCOUNT.public, OTHER.public)),
        "content of a chat.text": ({"text": "Salut", "seen": [1, 41, filler("chain", 32)]}, text),
        "padded": ({"data": b"Salut"}, padding.pad(b"Salut")),
    }  # fmt: skip


def current() -> dict[str, Any]:
    """What the file should hold, but for ``older``."""
    structs: dict[str, msgspec.Struct] = {**SAMPLES, **HEADERS}
    return {
        "frames": {
            name: {"fields": readable(plain(value)), "bytes": encode_struct(value).hex()}
            for name, value in structs.items()
        },
        "derived": {
            name: {
                "arguments": {key: readable(value) for key, value in arguments.items()},
                "result": result.hex() if isinstance(result, bytes) else result,
            }
            for name, (arguments, result) in derived().items()
        },
    }


def shortest(value: msgspec.Struct) -> bytes:
    """``value`` as its first version would have sent it: without the trailing fields that have a default."""
    required = sum(field.required for field in msgspec.structs.fields(value))
    has_tag = value.__struct_config__.tag is not None
    packed: bytes = msgpack.packb(plain(value)[: required + has_tag])
    return packed


def first_versions() -> list[list[str]]:
    """What ``older`` starts with."""
    return [[name, shortest(value).hex()] for name, value in {**SAMPLES, **HEADERS}.items()]


def merged(stored: dict[str, Any]) -> dict[str, Any]:
    """``current`` together with all bytes that were ever current (``older``: [name, bytes])."""
    fresh = current()
    older: list[list[str]] = list(stored.get("older") or first_versions())
    for name, vector in stored.get("frames", {}).items():
        if fresh["frames"].get(name) != vector:
            older.append([name, vector["bytes"]])
    return {**fresh, "older": older}


def load() -> dict[str, Any]:
    """The committed file ({} if there is none yet)."""
    found: dict[str, Any] = json.loads(PATH.read_text()) if PATH.exists() else {}
    return found


def main(arguments: list[str]) -> int:
    """Compare, or write with ``--write``; the exit code says whether the file was current."""
    stored = load()
    wanted = merged(stored)
    if wanted == stored:
        print(f"{PATH.name} is current")
        return 0
    if "--write" not in arguments:
        print(f"{PATH.name} is not current: python -m tests.protocol.frame_vectors --write")
        return 1
    PATH.write_text(json.dumps(wanted, indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
