"""The weights file: signed, versioned, and heavy where people were hurt."""

from __future__ import annotations

import pytest

from protocol.errors import RemoteProtocolError
from protocol.identity import SigningKey
from protocol.scoring.signed import ScoringError
from protocol.scoring.weights import ACTIONS, DEFAULT, Weights, open_weights, sign_weights

RANKER = SigningKey(b"r" * 32)


def test_a_signed_file_gives_the_weights() -> None:
    assert open_weights(sign_weights(DEFAULT, RANKER), RANKER.public) == DEFAULT


def test_another_signer_or_a_changed_byte_is_refused() -> None:
    data = sign_weights(DEFAULT, RANKER)
    with pytest.raises(ScoringError, match="not signed by this ranker"):
        open_weights(data, SigningKey(b"x" * 32).public)
    with pytest.raises((ScoringError, RemoteProtocolError)):
        open_weights(data[:20] + bytes([data[20] ^ 1]) + data[21:], RANKER.public)


def test_an_older_version_is_refused() -> None:
    with pytest.raises(ScoringError, match="replaced by version 2"):
        open_weights(sign_weights(Weights(version=1), RANKER), RANKER.public, at_least=2)


def test_what_is_no_file_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        open_weights(b"\x93nonsense", RANKER.public)
    with pytest.raises(RemoteProtocolError):
        open_weights(sign_weights(Weights(actions=(1, 2)), RANKER), RANKER.public)


def test_negatives_are_heavy() -> None:
    worth = dict(zip(ACTIONS, DEFAULT.actions, strict=True))
    good = sum(weight for weight in worth.values() if weight > 0)
    assert -worth["hide"] > good
    assert -worth["report"] > 5 * -worth["hide"] - 1
