"""What the plane and its connections know of each other."""

from __future__ import annotations

import ssl

import pytest

from relay.dataplane.driver import AGAIN, Stage


def test_stages_are_in_the_order_of_a_connection() -> None:
    assert sorted(Stage) == [Stage.HANDSHAKE, Stage.HEAD, Stage.OPEN, Stage.CLOSING, Stage.ENDING, Stage.OVER]


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError])
def test_what_means_try_again(error: type[OSError]) -> None:
    with pytest.raises(AGAIN):
        raise error
