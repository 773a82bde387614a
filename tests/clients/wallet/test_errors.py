"""What a wallet refuses."""

from __future__ import annotations

from clients import wallet
from clients.wallet.errors import ANSWER_S, WalletError
from protocol.errors import ChappeError


def test_it_is_one_error_for_all() -> None:
    assert wallet.WalletError is WalletError
    assert issubclass(WalletError, ChappeError)
    assert ANSWER_S > 0
