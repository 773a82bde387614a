"""Which close codes may stand in a close frame."""

from __future__ import annotations

import pytest

from protocol.websocket.codes import CloseCode, may_be_sent


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4500, 4999])
def test_may_be_sent(code: int) -> None:
    assert may_be_sent(code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_may_not(code: int) -> None:
    assert not may_be_sent(code)


def test_what_is_only_reported_may_not_be_sent() -> None:
    assert [code.name for code in CloseCode if not may_be_sent(code)] == ["NONE", "ABNORMAL"]
