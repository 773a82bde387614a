"""What a ranker signs, whatever it is."""

from __future__ import annotations

import pytest

from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.scoring.score import Slider
from protocol.scoring.signed import ScoringError, seal, unseal

KEY, OTHER = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
SLIDER = Slider(300, 100)


def test_it_comes_back() -> None:
    assert unseal(seal(SLIDER, b"one\0", KEY), b"one\0", KEY.public, Slider, "this is") == SLIDER


@pytest.mark.parametrize(("domain", "signer"), [(b"two\0", KEY), (b"one\0", OTHER)])
def test_another_kind_or_signer(domain: bytes, signer: SigningKey) -> None:
    with pytest.raises(ScoringError, match="this slider is not signed by this ranker"):
        unseal(seal(SLIDER, b"one\0", KEY), domain, signer.public, Slider, "this slider is")


def test_changed_or_no_document() -> None:
    data = seal(SLIDER, b"one\0", KEY)
    with pytest.raises(ScoringError):
        unseal(data[:-1] + bytes([data[-1] ^ 1]), b"one\0", KEY.public, Slider, "this is")
    with pytest.raises(RemoteProtocolError):
        unseal(b"\xc1", b"one\0", KEY.public, Slider, "this is")
