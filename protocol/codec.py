"""MessagePack in both directions, strictly: the only place where bytes become frames or structures.

``msgspec`` for what has a type (validated while decoding), ``msgpack`` for what has none. msgspec raises
``RecursionError`` and ``UnicodeDecodeError`` beside ``DecodeError``; all three become ``RemoteProtocolError`` here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import msgpack
import msgspec

from protocol.errors import Code, RemoteProtocolError
from protocol.frames import CLIENT_FRAMES, REGISTRY, RELAY_FRAMES, AnyFrame, Frame, Pub
from protocol.limits import BATCH_FRAMES_MAX, CONTENT_DEPTH_MAX, CONTENT_ITEMS_MAX, EXTENSION_TYPE_MIN, INT_MAX

T = TypeVar("T")
_encoder: Final = msgspec.msgpack.Encoder()
_frames: Final = msgspec.msgpack.Decoder(AnyFrame)
_publish: Final = msgspec.msgpack.Decoder(Pub)
_raw_list: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_number: Final = msgspec.msgpack.Decoder(int)
_BAD: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


_PUB: Final = 13  # the number of its type, in the second byte of a frame of at most 15 fields


class _Start(msgspec.Struct, array_like=True):
    """The first two elements of an array; whatever follows is skipped without being built."""

    kind: msgspec.Raw = msgspec.Raw(b"\xc0")
    rid: msgspec.Raw = msgspec.Raw(b"\xc0")


_start: Final = msgspec.msgpack.Decoder(_Start)
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}

encode_struct = _encoder.encode
"""Encode any Struct, frame or plain value of this protocol.

Deterministic for what is positional: equal values give equal bytes. In the maps of contents a default may be left out
or not (msgspec compares by identity), which is one more reason to hash and sign received bytes only.
"""


def decode_struct(data: bytes | msgspec.Raw, type_: type[T]) -> T:
    """Decode ``data`` as ``type_``. Raises ``RemoteProtocolError`` (not fatal) on anything else."""
    decoder = _decoders.get(type_)
    if decoder is None:
        decoder = _decoders[type_] = msgspec.msgpack.Decoder(type_)
    try:
        return decoder.decode(data)  # type: ignore[no-any-return]
    except _BAD as error:
        raise RemoteProtocolError(
            f"not a {getattr(type_, '__name__', 'value')}: {_sentence(error)}", fatal=False
        ) from None


def encode_batch(frames: list[Frame]) -> bytes:
    """Several frames of a client as one message (at most BATCH_FRAMES_MAX)."""
    if not 1 <= len(frames) <= BATCH_FRAMES_MAX:
        raise ValueError(f"a batch has 1 to {BATCH_FRAMES_MAX} frames, not {len(frames)}")
    return _encoder.encode(frames)


def decode_frames(data: bytes, *, from_client: bool) -> list[AnyFrame]:
    """The frames of one websocket message, in order; unknown types from 64 up are left out.

    Raises ``RemoteProtocolError``: fatal when the message is no array of frames, not fatal (with the ``rid`` where it
    can be told) when one frame of a known type is malformed. Batches are refused as a whole: nothing of them was done,
    and the error's ``undone`` names the requests of the other frames, which wait for an answer too.
    """
    allowed = CLIENT_FRAMES if from_client else RELAY_FRAMES
    if not _is_batch(data):
        frame = _decode_one(data, allowed)
        return [] if frame is None else [frame]
    if not from_client:
        raise RemoteProtocolError("a relay never sends batches")
    if (length := _array_length(data)) > BATCH_FRAMES_MAX:  # before anything is allocated for it
        raise RemoteProtocolError(f"a batch of {length} frames; at most {BATCH_FRAMES_MAX}", code=Code.TOO_LARGE)
    try:
        parts = [bytes(part) for part in _raw_list.decode(data)]
    except _BAD as error:
        raise RemoteProtocolError(f"not a batch of frames: {_sentence(error)}") from None
    try:
        return [frame for part in parts if (frame := _decode_one(part, allowed)) is not None]
    except RemoteProtocolError as error:
        error.undone = tuple(rid for rid in _rids_of(parts) if rid != error.rid)
        raise


def decode_publish(data: bytes) -> Pub | None:
    """A message that is one PUB, which nearly all are; None: it is something else, or malformed (``decode_frames``)."""
    if len(data) < 2 or data[1] != _PUB or data[0] & 0xF0 != 0x90:
        return None
    try:
        return _publish.decode(data)
    except _BAD:
        return None


def _is_batch(data: bytes) -> bool:
    """Whether the first element of the outer array is an array itself."""
    if not data:
        raise RemoteProtocolError("an empty message")
    skip = 1 if 0x90 <= data[0] <= 0x9F else {0xDC: 3, 0xDD: 5}.get(data[0], 0)
    if not skip or len(data) <= skip:
        raise RemoteProtocolError("a message is one MessagePack array: a frame, or a batch of frames")
    return 0x90 <= data[skip] <= 0x9F or data[skip] in (0xDC, 0xDD)


def _array_length(data: bytes) -> int:
    """Elements that the outer array declares (``_is_batch`` has seen that it is one)."""
    width = {0xDC: 2, 0xDD: 4}.get(data[0], 0)
    return int.from_bytes(data[1 : 1 + width], "big") if width else data[0] & 0x0F


def _decode_one(data: bytes, allowed: frozenset[int]) -> AnyFrame | None:
    try:
        frame: AnyFrame = _frames.decode(data)
    except _BAD as error:
        return _explain(data, allowed, error)
    if frame_type(frame) not in allowed:
        raise RemoteProtocolError(f"{type(frame).__name__.upper()} may not come from this side")
    return frame


def frame_type(frame: Frame) -> int:
    """The number of a frame's type."""
    return frame.__struct_config__.tag  # type: ignore[return-value]


def _explain(data: bytes, allowed: frozenset[int], error: Exception) -> AnyFrame | None:
    """Find out why a frame did not decode: ignore it (extension), or raise with the request id if there is one."""
    try:
        start = _start.decode(data)
    except _BAD:
        raise RemoteProtocolError(f"not a frame: {_sentence(error)}") from None
    kind = _int_of(start.kind)
    if kind is None:
        raise RemoteProtocolError("a frame starts with its type, an integer") from None
    if kind >= EXTENSION_TYPE_MIN:
        return None
    if kind not in REGISTRY or kind not in allowed:
        raise RemoteProtocolError(f"frame type {kind} is unknown, or may not come from this side") from None
    rid = _rid_of(start)
    name = REGISTRY[kind].__name__.upper()
    raise RemoteProtocolError(f"malformed {name}: {_sentence(error)}", rid=rid or 0, fatal=rid is None) from None


def _rid_of(start: _Start) -> int | None:
    """The request id, if the type has one and it can be told."""
    frame = REGISTRY.get(_int_of(start.kind) or 0)
    return _int_of(start.rid) if frame and frame.__struct_fields__[0] == "rid" else None


def _rids_of(parts: list[bytes]) -> Iterator[int]:
    """The request ids of a batch, as far as they can be told; 0 asks for no answer and is left out."""
    for part in parts:
        try:
            rid = _rid_of(_start.decode(part))
        except _BAD:
            continue
        if rid:
            yield rid


def _int_of(raw: msgspec.Raw) -> int | None:
    try:
        value = _number.decode(raw)
    except _BAD:
        return None
    return value if 0 <= value <= INT_MAX else None


def _sentence(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "text that is not UTF-8"
    return str(error)[:200]


# -- values without a schema ------------------------------------------------------------------------------------------
class _Refused(ValueError):
    """A value that the content rules forbid (internal; becomes RemoteProtocolError)."""


def _pairs(items: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(items)
    if len(result) != len(items):
        raise _Refused("a key occurs twice")
    return result


def _no_extension(code: int, data: bytes) -> Any:
    raise _Refused(f"extension type {code}")  # max_ext_len=0 alone lets empty ones pass, as a tuple


def unpack_untyped(data: bytes) -> Any:
    """Decode MessagePack of unknown shape within the content limits.

    Maps have unique string keys, integers lie within ±(2^53−1), there are no floats, extension types or trailing bytes,
    depth and lengths are bounded. Raises ``RemoteProtocolError`` (not fatal).
    """
    try:
        value = msgpack.unpackb(
            data, raw=False, strict_map_key=True, object_pairs_hook=_pairs, use_list=True,
            max_array_len=CONTENT_ITEMS_MAX, max_map_len=CONTENT_ITEMS_MAX, max_ext_len=0,
            ext_hook=_no_extension,
        )  # fmt: skip
        _check(value, CONTENT_DEPTH_MAX)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        deep = isinstance(error, (RecursionError, msgpack.StackError))
        text = "nested too deeply" if deep else str(error)[:200]
        raise RemoteProtocolError(f"not a content: {text}", fatal=False) from None
    return value


def pack_untyped(value: Any) -> bytes:
    """Encode a value that ``unpack_untyped`` would accept. Raises ``ValueError`` if it would not."""
    _check(value, CONTENT_DEPTH_MAX)
    return msgpack.packb(value, use_bin_type=True)  # type: ignore[no-any-return]


def _check(value: Any, depth: int) -> None:
    if value is None or isinstance(value, (bool, str, bytes)):
        return
    if isinstance(value, int):
        if not -INT_MAX <= value <= INT_MAX:
            raise _Refused("an integer beyond 2^53-1")
    elif isinstance(value, (list, tuple, dict)) and not isinstance(value, msgpack.ExtType):  # which is a tuple too
        if depth == 0:
            raise _Refused("nested too deeply")
        if len(value) > CONTENT_ITEMS_MAX:
            raise _Refused(f"{len(value)} items in one place; at most {CONTENT_ITEMS_MAX}")
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise _Refused("a key that is not a string")
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth - 1)
    else:
        raise _Refused(f"a {type(value).__name__} is not allowed")
