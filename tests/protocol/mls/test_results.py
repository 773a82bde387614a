"""Results of a group's operations: what they show of themselves."""

from __future__ import annotations

from protocol.mls import GroupParts, Opened, Peek, WelcomePreview
from protocol.mls.framing import CONTENT_APPLICATION, CONTENT_COMMIT
from protocol.mls.state import Member


def test_parts_show_only_their_sizes() -> None:
    assert repr(GroupParts(b"secret", b"more")) == "GroupParts(6 + 4 bytes)"
    assert GroupParts(b"a", b"b") == GroupParts(b"a", b"b")


def test_plaintexts_do_not_show() -> None:
    assert "hello" not in repr(Opened(b"hello", Member(0, b"ann", b"k" * 32), 0, 1, bytes(64), b""))


def test_peek() -> None:
    assert Peek(1, b"g", CONTENT_COMMIT, b"").is_commit
    assert not Peek(1, b"g", CONTENT_APPLICATION, b"").is_commit
    assert WelcomePreview(b"g", 1, {}).group_info_extensions == {}
