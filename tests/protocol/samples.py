"""One example of every frame and of what frames carry: for vectors, tables of tests and fuzzing."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgpack
import msgspec

from protocol.codec import encode_struct, frame_type
from protocol.frames import (
    AccessChange,
    Ack,
    AnyFrame,
    Bundle,
    Bye,
    Closed,
    Connect,
    Create,
    Err,
    ErrDetail,
    Evt,
    Gap,
    Info,
    Live,
    Msg,
    Ok,
    Ping,
    Pong,
    Pub,
    PubResult,
    Req,
    Sub,
    SubResult,
    Subscription,
    Unsub,
    Welcome,
    WelcomeHeader,
)  # fmt: skip
from protocol.identity import SigningKey, challenge, sign_challenge
from protocol.limits import INT_MAX
from protocol.requests import DevicesChanged, GetHeads


def filler(name: str, size: int) -> bytes:
    """``size`` bytes that look random, the same for the same ``name``."""
    return hashlib.shake_256(name.encode()).digest(size)


ACCOUNT: Final = SigningKey(filler("account", 32))
DEVICE: Final = SigningKey(filler("device", 32))
TOPIC: Final = filler("topic", 32)
ID: Final = bytes.fromhex("0193b0f2c400") + filler("id", 10)
CLUSTER: Final = filler("cluster", 16)
NONCES: Final = (filler("relay nonce", 32), filler("client nonce", 32))
CHALLENGE: Final = challenge(CLUSTER, *NONCES, 1, ACCOUNT.public, DEVICE.public)


def raw(value: Any) -> msgspec.Raw:
    """What OK, REQ and EVT carry."""
    return msgspec.Raw(encode_struct(value))


SAMPLES: Final[dict[str, AnyFrame]] = {
    "INFO": Info(
        (1,), CLUSTER, NONCES[0], ("blobs", "feeds"), (("message_bytes_max", 1 << 20),), 1_733_000_000_000, 1,
        ("wss://two.example/ws",),
    ),
    "CONNECT": Connect(
        1, 1, DEVICE.public, NONCES[1], sign_challenge(DEVICE, CHALLENGE), ACCOUNT.public, 3, ("blobs",), "sample/1.0"
    ),
    "OK": Ok(2, raw(PubResult(1, 41, 1_733_000_000_001))),
    "OK of SUB": Ok(3, raw([SubResult(7, 1, 41, 0, 5), SubResult(0, code=404)])),
    "ERR": Err(4, 409, "the fence moved on", 0, ErrDetail(1, 1, 42, 0, 6, filler("digest", 32))),
    "PING": Ping(1_733_000_000_002),
    "PONG": Pong(1_733_000_000_002),
    "SUB": Sub(3, (Subscription(TOPIC, (1, 40)), Subscription(TOPIC, None, 50), Subscription(TOPIC))),
    "SUB of a worker": Sub(3, None, "settlement"),
    "UNSUB": Unsub(5, (7, 8)),
    "MSG": Msg(
        7, 42, ID, ACCOUNT.public, DEVICE.public, 1_733_000_000_003, 2, 5, 0, b"header", filler("body", 64)
    ),
    "LIVE": Live(7, 42),
    "GAP": Gap(7, 1, 10, 19, 1, filler("chain", 32)),
    "CLOSED": Closed(7, 404, "you were removed", 60_000),
    "PUB": Pub(
        6, TOPIC, ID, filler("before", 16), 36, (0, 5), 42, 86_400_000,
        encode_struct(AccessChange(((ACCOUNT.public, 4),), (filler("gone", 32),))), filler("commit", 48),
        Bundle(
            Create(1, filler("founding", 16)), 42, (Welcome(ACCOUNT.public, filler("welcome", 40)),),
            (filler("blob", 32),),
        ),
        b"token",
    ),
    "ACK": Ack(7, 42, b"token"),
    "REQ": Req(8, "topics.heads", raw(GetHeads((TOPIC,)))),
    "EVT": Evt("devices", raw(DevicesChanged(ACCOUNT.public, 4))),
    "BYE": Bye(4000, "the relay restarts", 250, "wss://two.example/ws"),
    "BYE for good": Bye(4500, "a frame that the protocol forbids", -1),
    "PING at the bound": Ping(INT_MAX),
}  # fmt: skip
HEADERS: Final[dict[str, msgspec.Struct]] = {
    "AccessChange": AccessChange(
        ((ACCOUNT.public, 4),), (filler("gone", 32),), ((ACCOUNT.public, DEVICE.public),),
        ((ACCOUNT.public, filler("old device", 32)),),
    ),
    "WelcomeHeader": WelcomeHeader(TOPIC, 1, 42, 0, 6),
}  # fmt: skip


def plain(value: Any) -> Any:
    """A frame or structure as the positional lists that it is on the wire, built without msgspec's encoder."""
    if isinstance(value, msgspec.Raw):
        return msgpack.unpackb(bytes(value))
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        return ([] if tag is None else [tag]) + [plain(item) for item in msgspec.structs.astuple(value)]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def name_of(frame: AnyFrame) -> str:
    """How a frame is called in texts and tables."""
    return type(frame).__name__.upper()


def from_client(frame: AnyFrame) -> bool:
    """Which side to decode a sample for (PING, PONG and BYE: either)."""
    return frame_type(frame) not in (1, 3, 4, 9, 10, 11, 12, 16)
