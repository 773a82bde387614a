"""Whatever a member says, only that message is refused; and two implementations read the same in what is accepted."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, identity, padding
from protocol.errors import RemoteProtocolError
from protocol.messages import REGISTRY, parse
from tests.fuzz.mutations import mutated, outcome, packed, values
from tests.protocol.bad_input import UNTYPED
from tests.protocol.samples import ACCOUNT, DEVICE, filler
from tests.protocol.test_content import BAD, FULL
from tests.protocol.test_identity import BY_LAPTOP, SIGNED

CORPUS = [packed(FULL), packed({"t": "chat.text", "b": {"text": "Salut"}}), *BAD.values()]
types = st.sampled_from(sorted({type_name for type_name, _ in REGISTRY} | {"pay.loan", "org.example"}))
fields = st.sampled_from(["text", "choices", "topic", "on", "code"])
envelopes = st.fixed_dictionaries(
    {"t": types},
    optional={name: values() for name in ("v", "re", "th", "rp", "ex", "fb", "crit", "seen", "x", "new")}
    | {
        "b": values()
        | st.dictionaries(st.sampled_from(["text", "choices", "topic", "on", "code"]), values(), max_size=3)
    },
)
contents = st.one_of(st.binary(max_size=80), mutated(CORPUS), values().map(packed), envelopes.map(packed))


@given(contents)
def test_contents(data: bytes) -> None:
    message = outcome(parse, data)
    if isinstance(message, RemoteProtocolError):
        assert not message.fatal
        assert message.text
        return
    codec.unpack_untyped(data)  # what is accepted has passed the strict reading too


@given(st.one_of(contents, mutated([data for data, _ in UNTYPED.values() if len(data) < 200])))
def test_two_implementations_read_the_same(data: bytes) -> None:
    strict = outcome(codec.unpack_untyped, data)
    if isinstance(strict, RemoteProtocolError):
        assert not strict.fatal
        return
    assert msgspec.msgpack.decode(data) == strict
    assert codec.unpack_untyped(codec.pack_untyped(strict)) == strict
    assert {type(leaf) for leaf in leaves(strict)} <= {type(None), bool, int, str, bytes}


def leaves(value: Any) -> list[Any]:
    """Everything at the ends of a value."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@given(st.binary(max_size=300) | mutated([padding.pad(b"Salut"), padding.pad(bytes(300))]))
def test_padding(data: bytes) -> None:
    found = outcome(padding.unpad, data)
    if isinstance(found, RemoteProtocolError):
        assert not found.fatal
    else:
        assert len(padding.pad(found)) <= len(data)


@given(mutated([SIGNED, BY_LAPTOP]))
def test_a_device_list_that_changed_on_the_way_is_never_another_list(data: bytes) -> None:
    good = [identity.verify_list(SIGNED), identity.verify_list(BY_LAPTOP)]
    with contextlib.suppress(identity.IdentityError):
        found = outcome(identity.verify_list, data)
        assert isinstance(found, RemoteProtocolError) or found in good


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=40))
def test_no_signature_by_chance(message: bytes, signature: bytes, key: bytes) -> None:
    assert not identity.verify_challenge(key, message, signature)
    assert not identity.verify_challenge(DEVICE.public, message, signature)
    moved = identity.sign_challenge(ACCOUNT, message)
    assert not identity.verify_challenge(DEVICE.public, message, moved)
    assert identity.verify_challenge(ACCOUNT.public, message, moved)
    assert not identity.verify_challenge(ACCOUNT.public, message + filler("more", 1), moved)
