"""Parameters and events: bounded, positional, and handles that cannot look alike by white space or case."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from protocol import requests
from protocol.codec import decode_struct, encode_struct
from protocol.errors import RemoteProtocolError
from protocol.limits import BLOB_BYTES_MAX, KEY_PACKAGE_BYTES_MAX, NAME_BYTES_MAX
from tests.protocol import strategies
from tests.protocol.samples import filler, plain
from tests.protocol.test_frames import has_the_trap, unbounded

TYPES: list[type[requests.Params]] = [
    value
    for value in vars(requests).values()
    if isinstance(value, type) and issubclass(value, requests.Params) and value is not requests.Params
]
KEY = filler("key", 32)


@pytest.mark.parametrize("type_", TYPES, ids=lambda type_: type_.__name__)
def test_every_type_is_positional_bounded_and_described(type_: type[requests.Params]) -> None:
    assert type_.__struct_config__.array_like
    assert unbounded(inspect.type_info(type_), type_.__name__) == []
    assert not has_the_trap(inspect.type_info(type_))
    assert type_.__doc__


@given(st.one_of(*(strategies.of_type(type_) for type_ in TYPES)))
def test_two_independent_implementations_agree(value: msgspec.Struct) -> None:
    data = encode_struct(value)
    assert msgpack.unpackb(data) == plain(value)
    assert decode_struct(data, type(value)) == value


@pytest.mark.parametrize("name", [*requests.METHODS, *requests.EVENTS])
def test_names_fit_and_the_text_names_them(name: str) -> None:
    params = requests.METHODS.get(name) or requests.EVENTS[name]
    assert len(name) <= NAME_BYTES_MAX
    assert f"``{name}``" in str(params.__doc__)
    assert (name in requests.METHODS) is ("Result: " in str(params.__doc__))


@pytest.mark.parametrize("handle", ["al", "a1", "0x", "anna.von_berg-2", "x" * 32])
def test_handles(handle: str) -> None:
    assert decode_struct(msgpack.packb([handle]), requests.ClaimHandle).handle == handle


@pytest.mark.parametrize(
    "handle",
    [
        "",
        "a",
        "x" * 33,
        "Anna",
        "anna ",
        " anna",
        "anna\n",
        "anna\0",
        ".anna",
        "-anna",
        "_anna",
        "än",
        "an\u200bna",
        "аnna",
    ],
)
def test_no_handles(handle: str) -> None:
    for type_ in (requests.ClaimHandle, requests.GetHandle):
        with pytest.raises(RemoteProtocolError, match=f"not a {type_.__name__}"):
            decode_struct(msgpack.packb([handle]), type_)


@pytest.mark.parametrize(
    ("type_", "fields"),
    [
        (requests.PublishList, [bytes(16 * 1024 + 1)]),
        (requests.PublishList, ["text"]),
        (requests.GetLists, [[KEY] * 101]),
        (requests.GetLists, [[KEY[:31]]]),
        (requests.PutKeyPackages, [[b""] * 129]),
        (requests.PutKeyPackages, [[bytes(KEY_PACKAGE_BYTES_MAX + 1)]]),
        (requests.ClaimKeyPackages, [[KEY], bytes(65)]),
        (requests.PutBlob, [KEY, bytes(BLOB_BYTES_MAX + 1)]),
        (requests.PutBlob, [KEY]),
        (requests.GetBlob, [KEY + b"x"]),
        (requests.GetHeads, [[KEY] * 257]),
        (requests.GetMembers, []),
        (requests.Reserve, [None]),
        (requests.LoginResult, [1, 0, 0, 0]),
        (requests.LoginResult, [True, -1, 0, 0]),
        (requests.DevicesChanged, [KEY, 2**53]),
        (requests.KeyPackagesLow, [1.0]),
    ],
)
def test_out_of_bounds(type_: type[requests.Params], fields: list[Any]) -> None:
    with pytest.raises(RemoteProtocolError, match=f"not a {type_.__name__}"):
        decode_struct(msgpack.packb(fields), type_)
