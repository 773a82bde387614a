"""What is fuzzed: each target is a function of bytes, with what it starts from and what may come out of it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import msgspec

from protocol import codec, identity, padding
from protocol.errors import RemoteProtocolError
from protocol.frames import AccessChange, WelcomeHeader
from protocol.identity import IdentityError, SigningKey
from protocol.limits import FRAME_MS
from protocol.messages import parse
from protocol.mls import Group, MlsError, generate_key_package
from protocol.mls.welcome import parse_welcome
from protocol.requests import EVENTS, METHODS
from protocol.session import Session
from protocol.transitions import Side, State
from relay.admission.framewatch import FrameWatch
from relay.bounds import HANDSHAKE_BYTES_MAX
from tests.house.tree import ROOT
from tests.protocol.bad_input import FATAL, MALFORMED, UNTYPED
from tests.protocol.samples import SAMPLES
from tests.protocol.test_content import BAD, FULL
from tests.protocol.test_identity import BY_LAPTOP, SIGNED
from tests.support.bad_peers import head, ws

MESSAGE_MAX: Final = 4096  # what a watch lets one message declare: little, so that its bound is met
VECTORS: Final = ROOT / "tests" / "vectors"


@dataclass(frozen=True, slots=True)
class Target:
    """``run`` returns what came of some bytes, as text; ``allowed`` are the exceptions that its documentation names."""

    run: Callable[[bytes], str]
    corpus: tuple[bytes, ...]
    allowed: tuple[type[Exception], ...]


def packed(value: Any) -> bytes:
    """MessagePack by the implementation that is not ours."""
    data: bytes = msgpack.packb(value)
    return data


def _frames(*, from_client: bool) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        frames = codec.decode_frames(data, from_client=from_client)
        for frame in frames:
            again = codec.encode_struct(frame)
            assert codec.decode_frames(again, from_client=from_client) == [frame]
        return " ".join(sorted({type(frame).__name__ for frame in frames}))

    return run


def _session(data: bytes) -> str:
    """The first byte chooses side and state, the rest arrives in two pieces."""
    choice = data[0] if data else 0
    session = Session(list(Side)[choice % 2], 0)
    session.state = list(State)[choice // 2 % len(State)]
    middle = 1 + len(data) // 2
    shown = [type(frame).__name__ for part in (data[1:], data[1:middle]) for frame in session.receive(part, 1)]
    return f"{session.state.name} {' '.join(sorted(set(shown)))}"


STRUCTURES: Final[tuple[type[Any], ...]] = (AccessChange, WelcomeHeader, *METHODS.values(), *EVENTS.values())


def _structure(data: bytes) -> str:
    type_ = STRUCTURES[(data[0] if data else 0) % len(STRUCTURES)]
    value = codec.decode_struct(data[1:], type_)
    assert codec.decode_struct(codec.encode_struct(value), type_) == value
    return str(type_)


def _content(data: bytes) -> str:
    message = parse(data)
    codec.unpack_untyped(data)  # what is accepted has passed the strict reading too
    return type(message.body).__name__


def _untyped(data: bytes) -> str:
    strict = codec.unpack_untyped(data)
    assert msgspec.msgpack.decode(data) == strict
    assert codec.unpack_untyped(codec.pack_untyped(strict)) == strict
    return type(strict).__name__


def _padding(data: bytes) -> str:
    found = padding.unpad(data)
    assert len(padding.pad(found)) <= len(data)
    return "padding"


def _device_list(data: bytes) -> str:
    found = identity.verify_list(data)
    assert found in [identity.verify_list(SIGNED), identity.verify_list(BY_LAPTOP)], "a list that nobody signed"
    return f"version {found.version}"


def _welcome(data: bytes) -> str:
    return f"{len(parse_welcome(data).secrets)} secrets"


def _watch(data: bytes) -> str:
    """The same bytes in one piece and one by one are judged alike, and what is declared stays bounded."""
    whole = FrameWatch(HANDSHAKE_BYTES_MAX, MESSAGE_MAX, FRAME_MS)
    pieces = FrameWatch(HANDSHAKE_BYTES_MAX, MESSAGE_MAX, FRAME_MS)
    fault = whole.feed(data, 0)
    found = next((said for byte in data if (said := pieces.feed(bytes([byte]), 0))), None)
    assert (fault is None) == (found is None)
    if fault is None:
        assert (whole.is_head, whole.is_midway, whole.message_bytes) == (
            pieces.is_head, pieces.is_midway, pieces.message_bytes,
        )  # fmt: skip
        assert whole.message_bytes <= MESSAGE_MAX
    return "refused" if fault else f"head {whole.is_head}, midway {whole.is_midway}"


def _letters() -> tuple[bytes, ...]:
    """A commit and the Welcome that goes with it."""
    keys = [SigningKey(bytes([n]) * 32) for n in (1, 2)]
    rng = random.Random(1)
    life_s = (0, 10_000_000)
    group = Group.create(
        group_id=b"fuzzed", identity=keys[0].public * 2, signature_private=keys[0].seed, lifetime=life_s,
        entropy=rng.randbytes,
    )  # fmt: skip
    pair = generate_key_package(
        identity=keys[1].public * 2, signature_private=keys[1].seed, not_before_s=life_s[0], not_after_s=life_s[1],
        entropy=rng.randbytes,
    )  # fmt: skip
    made = group.commit(
        add=[pair.key_package], authenticated_data=b"", tree_in_welcome=True, entropy=rng.randbytes, now_s=1000
    )  # fmt: skip
    assert made.welcome is not None
    return made.welcome, made.commit


def _vectors() -> tuple[bytes, ...]:
    """Frames of tests/vectors: those given as bytes, and those of the conformance script with its names as text."""
    given = json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))
    found = [bytes.fromhex(frame["bytes"]) for frame in given["frames"].values()]
    found += [bytes.fromhex(data) for _, data in given["older"]]

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("frame"), list):
                found.append(packed(value["frame"]))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads((VECTORS / "conformance.json").read_text(encoding="utf-8")))
    return tuple(dict.fromkeys(data for data in found if len(data) < 2000))


def _short(values: list[bytes]) -> tuple[bytes, ...]:
    return tuple(data for data in values if len(data) < 2000)


def targets() -> dict[str, Target]:
    """All targets by name."""
    wire = (RemoteProtocolError,)
    frames = (*_vectors(), *map(codec.encode_struct, SAMPLES.values()), *_short([*FATAL.values()]))
    frames += _short([data for data, _ in MALFORMED.values()])
    contents = (packed(FULL), packed({"t": "chat.text", "b": {"text": "Salut"}}), *_short(list(BAD.values())))
    signed = (SIGNED, BY_LAPTOP)
    sockets = (head("relay.example") + ws(2, frames[0]), head("relay.example") + ws(2, b"x", fin=False) + ws(9, b"y"))
    return {
        "frames of clients": Target(_frames(from_client=True), frames, wire),
        "frames of relays": Target(_frames(from_client=False), frames, wire),
        "sessions": Target(_session, tuple(bytes([n % 64]) + data for n, data in enumerate(frames)), wire),
        "structures": Target(_structure, tuple(bytes([n % 64]) + data for n, data in enumerate(frames)), wire),
        "contents": Target(_content, contents, wire),
        "untyped values": Target(_untyped, (*contents, *_short([data for data, _ in UNTYPED.values()])), wire),
        "padding": Target(_padding, (padding.pad(b"Salut"), padding.pad(bytes(300))), wire),
        "device lists": Target(_device_list, signed, (RemoteProtocolError, IdentityError)),
        "welcomes": Target(_welcome, _letters(), (MlsError,)),
        "websocket bytes": Target(_watch, sockets, ()),
    }
