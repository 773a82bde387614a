"""What a wallet refuses, and how long it waits."""

from __future__ import annotations

from typing import Final

from protocol.errors import ChappeError

ANSWER_S: Final = 10.0  # to hear from the worker; later its answer counts all the same


class WalletError(ChappeError):
    """Something cannot be done with this wallet; the text says what to do."""
