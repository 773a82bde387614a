"""What a worker says of itself is its account's word, or nobody's."""

from __future__ import annotations

import msgspec
import pytest

from protocol.identity import SigningKey
from protocol.manifest import is_genuine, sign_manifest
from protocol.messages.ext import Manifest

KEY = SigningKey(bytes(range(32)))
MANIFEST = Manifest(name="dice", consumes=("ext.request",), produces=("ext.reply",), keeps="a", trust="b", made_ms=1)


def test_a_signed_manifest_is_genuine() -> None:
    signed = sign_manifest(MANIFEST, KEY)
    assert is_genuine(signed, KEY.public)
    assert not is_genuine(signed, SigningKey(bytes(32)).public)
    assert not is_genuine(MANIFEST, KEY.public)


@pytest.mark.parametrize(
    "change",
    [{"name": "x"}, {"consumes": ()}, {"produces": ()}, {"keeps": "all"}, {"trust": "none"}, {"made_ms": 2}],
)
def test_nothing_in_it_can_be_changed(change: dict[str, object]) -> None:
    signed = sign_manifest(MANIFEST, KEY)
    assert not is_genuine(msgspec.structs.replace(signed, **change), KEY.public)
