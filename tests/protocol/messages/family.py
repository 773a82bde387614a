"""What is true of every family: each body comes back through the envelope, and bad ones never do."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from msgspec import inspect

from protocol.errors import RemoteProtocolError
from protocol.messages import REGISTRY, Body, compose, parse
from tests.protocol import strategies
from tests.protocol.samples import plain
from tests.protocol.test_frames import has_the_trap, unbounded


def bodies(module: ModuleType) -> dict[str, type[Body]]:
    """The bodies that a family registers, by type name."""
    return {
        body.TYPE: body
        for body in vars(module).values()
        if isinstance(body, type) and issubclass(body, Body) and hasattr(body, "TYPE")
    }


def content(type_name: str, body: Any, **envelope: Any) -> bytes:
    """The bytes of a content, packed by another implementation."""
    packed: bytes = msgpack.packb({"t": type_name, "v": 1, "b": body, **envelope})
    return packed


def shown(body: Body) -> dict[str, Any]:
    """A body as a plain map without its defaults."""
    return {
        field.name: plain(getattr(body, field.name))
        for field in msgspec.structs.fields(body)
        if field.required or getattr(body, field.name) != field.default
    }


def check_family(module: ModuleType, family: str, types: set[str]) -> None:
    """The family registers exactly these types; all are documented, bounded maps, and come back byte for byte."""
    found = bodies(module)
    assert set(found) == {f"{family}.{name}" for name in types}
    for type_name, body in found.items():
        assert REGISTRY[type_name, 1] is body
        assert body.VERSION == 1
        assert body.__doc__
        assert not body.__struct_config__.array_like
        assert body.__struct_config__.omit_defaults
        assert unbounded(inspect.type_info(body), type_name) == []
        assert not has_the_trap(inspect.type_info(body))
        _check_round_trip(body)


def _check_round_trip(type_: type[Body]) -> None:
    @given(strategies.of_type(type_))
    def check(body: Body) -> None:
        data = compose(body)
        assert parse(data).body == body
        # msgspec leaves a default out only where it is the same object, so one may stand there too.
        given_fields = msgpack.unpackb(data).get("b", {})
        everything = {field.name: plain(getattr(body, field.name)) for field in msgspec.structs.fields(body)}
        assert all(everything[name] == value for name, value in given_fields.items())
        assert shown(body).keys() <= given_fields.keys()
        for packed in (shown(body), everything, {**shown(body), "a field of tomorrow": [1]}):
            assert parse(content(type_.TYPE, packed)).body == body

    check()


def refuses(type_name: str, body: Any) -> None:
    """``body`` is malformed as ``type_name``: refused, and nothing but this message with it."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse(content(type_name, body))
    assert not caught.value.fatal
