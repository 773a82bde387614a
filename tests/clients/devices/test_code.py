"""Codes that people carry: read back as shown, slips found, kinds kept apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.devices.code import (
    BadCode,
    LinkCode,
    invite_text,
    is_invite,
    read_invite,
    read_recovery,
    recovery_text,
)

CODE = LinkCode(b"d" * 32, b"i" * 32, b"s" * 16)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_codes_are_read_back(secret: bytes, key: bytes) -> None:
    assert read_recovery(recovery_text(secret)) == secret
    assert read_invite(invite_text(key, secret)) == (key, secret)
    assert LinkCode.read(LinkCode(key, key, secret).text()) == LinkCode(key, key, secret)


def test_what_people_do_to_codes_is_forgiven() -> None:
    text = CODE.text()
    assert LinkCode.read("  " + text.lower() + "\n") == CODE
    assert LinkCode.read(text.partition(":")[2].replace("-", " ")) == CODE


@pytest.mark.parametrize("place", range(0, 40, 3))
def test_a_slip_is_found(place: int) -> None:
    text = recovery_text(bytes(range(16)))
    at = text.index(":") + 1 + place
    if at < len(text) and text[at] != "-":
        other = "A" if text[at] != "A" else "C"
        with pytest.raises(BadCode):
            read_recovery(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize("text", ["", "chappe-link:", "chappe-recovery:AAAA", "chappe-link:!!!!", "x:AAAA"])
def test_no_code_at_all(text: str) -> None:
    with pytest.raises(BadCode):
        LinkCode.read(text)


def test_kinds_are_kept_apart() -> None:
    with pytest.raises(BadCode, match="kind"):
        read_recovery(CODE.text())
    assert is_invite(invite_text(bytes(32), bytes(16)))
    assert not is_invite(CODE.text())


def test_the_secret_does_not_show() -> None:
    assert "s" * 16 not in repr(CODE)
