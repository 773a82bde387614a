"""Reasons of refusals: a closed set of labels."""

from __future__ import annotations

import re

from relay.admission.why import Why


def test_reasons_are_labels() -> None:
    assert all(re.fullmatch(r"[a-z_]+", why) for why in Why)
    assert len(Why) < 32
