"""The registry, the bounds of every field, and the bytes that this and earlier versions put on the wire."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec import inspect

from protocol import codec, frames
from protocol.errors import RemoteProtocolError
from protocol.frames import CLIENT_FRAMES, FLAGS_ALL, FLAGS_PUBLISHABLE, REGISTRY, RELAY_FRAMES, Flag, Frame, Role
from tests.protocol import frame_vectors
from tests.protocol.samples import HEADERS, SAMPLES, from_client, name_of, plain

VECTORS = frame_vectors.load()
STRUCTS: list[type[msgspec.Struct]] = [
    value
    for value in vars(frames).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value not in (msgspec.Struct, Frame)
]


def test_there_are_17_frames_and_each_has_an_example() -> None:
    assert list(REGISTRY) == list(range(1, 18))
    assert {type_.__struct_config__.tag for type_ in REGISTRY.values()} == set(REGISTRY)
    assert {name_of(frame) for frame in SAMPLES.values()} == {type_.__name__.upper() for type_ in REGISTRY.values()}


def test_every_frame_comes_from_somebody() -> None:
    assert set(REGISTRY) == CLIENT_FRAMES | RELAY_FRAMES
    assert {REGISTRY[number].__name__ for number in CLIENT_FRAMES & RELAY_FRAMES} == {"Ping", "Pong", "Bye"}


@pytest.mark.parametrize("type_", STRUCTS, ids=lambda type_: type_.__name__)
def test_rules_of_the_file(type_: type[msgspec.Struct]) -> None:
    config = type_.__struct_config__
    assert config.array_like
    assert config.frozen
    assert type_.__doc__
    required = [field.required for field in msgspec.structs.fields(type_)]
    assert required == sorted(required, reverse=True)  # what has a default comes last


def unbounded(info: inspect.Type, path: str) -> list[str]:
    """Paths of everything in a type whose size or value nothing limits."""
    match info:
        case inspect.IntType():
            return [] if info.ge is not None and info.le is not None else [path]
        case inspect.BytesType() | inspect.StrType():
            return [] if info.max_length is not None else [path]
        case inspect.VarTupleType():
            return ([] if info.max_length is not None else [path]) + unbounded(info.item_type, f"{path}[]")
        case inspect.TupleType():
            return [found for i, item in enumerate(info.item_types) for found in unbounded(item, f"{path}[{i}]")]
        case inspect.UnionType():
            return [found for item in info.types for found in unbounded(item, path)]
        case inspect.StructType():
            return [found for field in info.fields for found in unbounded(field.type, f"{path}.{field.name}")]
        case inspect.NoneType() | inspect.BoolType() | inspect.RawType():
            return []
    raise TypeError(f"{path}: {info}")


@pytest.mark.parametrize("type_", STRUCTS, ids=lambda type_: type_.__name__)
def test_every_field_has_a_bound(type_: type[msgspec.Struct]) -> None:
    assert unbounded(inspect.type_info(type_), type_.__name__) == []


def test_what_has_no_bound_is_noticed() -> None:
    class Loose(msgspec.Struct):
        number: int
        texts: tuple[str, ...]
        pair: tuple[bytes, int | None]

    found = unbounded(inspect.type_info(Loose), "Loose")
    assert found == ["Loose.number", "Loose.texts", "Loose.texts[]", "Loose.pair[0]", "Loose.pair[1]"]


def test_flags() -> None:
    assert [flag.value for flag in Flag] == [1 << bit for bit in range(len(Flag))]
    assert sum(Flag) == FLAGS_ALL
    assert FLAGS_ALL - FLAGS_PUBLISHABLE == Flag.DEVICES | Flag.WELCOME | Flag.STRANGER  # these only the relay sets


def test_roles_include_the_lower_ones() -> None:
    assert Role.READER < Role.MEMBER < Role.ADMIN < Role.OWNER


# -- vectors ----------------------------------------------------------------------------------------------------------
def test_the_committed_vectors_are_current() -> None:
    assert frame_vectors.merged(VECTORS) == VECTORS, "python -m tests.protocol.frame_vectors --write"


@pytest.mark.parametrize("name", [*SAMPLES, *HEADERS])
def test_todays_encoder_gives_exactly_the_committed_bytes(name: str) -> None:
    value = SAMPLES.get(name) or HEADERS[name]
    assert codec.encode_struct(value).hex() == VECTORS["frames"][name]["bytes"]
    assert frame_vectors.readable(plain(value)) == VECTORS["frames"][name]["fields"]


def decoded(name: str, data: bytes) -> msgspec.Struct:
    if name in HEADERS:
        return codec.decode_struct(data, type(HEADERS[name]))
    return codec.decode_frames(data, from_client=from_client(SAMPLES[name]))[0]


def begins(shown: object, given: object) -> bool:
    """Whether an array has the older one's items, itself or with more behind them; at any depth."""
    if isinstance(shown, list) and isinstance(given, list) and len(given) <= len(shown):
        return all(begins(new, old) for new, old in zip(shown, given, strict=False))
    return shown == given


@pytest.mark.parametrize(("name", "data"), VECTORS["older"])
def test_bytes_of_older_versions_still_decode(name: str, data: str) -> None:
    old = bytes.fromhex(data)
    value = decoded(name, old)
    given = msgpack.unpackb(old)
    shown = plain(value)
    assert len(given) <= len(shown)
    assert begins(shown, given)
    for field, found in list(zip(msgspec.structs.fields(value), msgspec.structs.astuple(value), strict=True))[::-1]:
        if len(given) == len(shown):
            break
        shown.pop()
        assert found == field.default


def truncations() -> list[tuple[str, int]]:
    return [
        (name, size)
        for name, value in SAMPLES.items()
        for size in range(1, len(plain(value)))
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "size"), truncations())
def test_missing_trailing_fields_are_their_defaults_and_missing_others_an_error(name: str, size: int) -> None:
    frame = SAMPLES[name]
    data: bytes = msgpack.packb(plain(frame)[:size])
    fields = msgspec.structs.fields(frame)
    if any(field.required for field in fields[size - 1 :]):
        with pytest.raises(RemoteProtocolError):
            decoded(name, data)
        return
    changes: dict[str, Any] = {field.name: field.default for field in fields[size - 1 :]}
    assert decoded(name, data) == msgspec.structs.replace(frame, **changes)


# -- the trap ---------------------------------------------------------------------------------------------------------
COLLECT = """
import gc, importlib, pkgutil
import msgspec, protocol

names = [m.name for m in pkgutil.walk_packages(protocol.__path__, "protocol.") if not m.name.startswith("protocol.mls")]
decoders = []
for name in names:
    for value in list(vars(importlib.import_module(name)).values()):
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct:
            decoders.append(msgspec.msgpack.Decoder(value))
            decoders.append(msgspec.msgpack.Decoder(list[value]))
gc.collect()
decoders.clear()
gc.collect()
print(len(names))
"""


def test_the_collector_survives_every_decoder() -> None:
    """msgspec 0.19–0.22 crashes it on a union of a fixed-size tuple and a bounded integer: no type may have one."""
    done = subprocess.run([sys.executable, "-c", COLLECT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 15


def has_the_trap(info: inspect.Type) -> bool:
    """Whether a type holds that union somewhere."""
    match info:
        case inspect.UnionType():
            kinds = {type(item) for item in info.types}
            return {inspect.TupleType, inspect.IntType} <= kinds or any(has_the_trap(item) for item in info.types)
        case inspect.StructType():
            return any(has_the_trap(field.type) for field in info.fields)
        case inspect.VarTupleType():
            return has_the_trap(info.item_type)
        case inspect.TupleType():
            return any(has_the_trap(item) for item in info.item_types)
    return False


@pytest.mark.parametrize("type_", STRUCTS, ids=lambda type_: type_.__name__)
def test_no_frame_has_the_union_that_crashes_the_collector(type_: type[msgspec.Struct]) -> None:
    assert not has_the_trap(inspect.type_info(type_))
    # The union exists only as a description here: no decoder is ever built for it.
    position = inspect.TupleType((inspect.IntType(ge=0), inspect.IntType(ge=0)))
    assert has_the_trap(inspect.UnionType((position, inspect.IntType(ge=0))))
