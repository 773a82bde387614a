"""What a wallet does where money is contested: stakes of matches."""

from __future__ import annotations

from clients.wallet.errors import ANSWER_S, WalletError
from clients.wallet.records import Payment
from clients.wallet.together import Together
from protocol import limits as L
from protocol.messages import stake as S
from protocol.packets import pot_of
from protocol.payments import Authorization, operation_id, sign_authorization
from protocol.stakes import check_stake, read_stake, stake_hash


class Contests(Together):
    """The part of ``Wallet`` that is about matches."""

    async def stake(self, terms: bytes, *, timeout_s: float = ANSWER_S) -> Payment:
        """Put our stake in a match (``protocol.stakes.StakeTerms``, encoded): HELD once all players have.

        Before that it is PENDING, and nothing is held. SETTLED: it was paid to whom the referee said; EXPIRED: it came
        back. Raises ``WalletError``, ``PayError``; then nothing was sent.
        """
        shelf, home = self._engine.shelf, self.home
        read, hash_ = read_stake(terms), stake_hash(terms)
        mine = next((player.amount for player in read.players if player.account == shelf.account), 0)
        if read.worker != home.worker or not mine:
            raise WalletError("these stakes are held by another worker than yours, or you are no player")
        now_ms, id_, pot = shelf.clock_ms(), shelf.new_id(), pot_of(hash_)
        authorization = Authorization(
            home.worker, shelf.account, pot, read.ledger, read.exponent, mine, id_, now_ms, now_ms + L.PAY_WINDOW_MS,
            hash_,
        )  # fmt: skip
        check_stake(read, hash_, pot, authorization, now_ms)
        payment = Payment(
            operation_id(shelf.account, id_), home.worker, shelf.account, pot, read.ledger, read.exponent, mine, now_ms,
            memo="stake", request=hash_, signed=sign_authorization(authorization, shelf.device), request_body=terms,
        )  # fmt: skip
        self.book.save(payment)
        await self._send(payment)
        return await self.outcome(payment.operation, timeout_s=timeout_s)

    async def show_result(self, stake: bytes, signed: bytes) -> None:
        """Show the worker what the referee of a match has signed (``protocol.stakes.sign_result``). Anybody may.

        The players hear of it by the state of their stakes. Raises ``WalletError``.
        """
        body = S.Result(
            stake=stake, id=self._engine.shelf.new_id(), signed=signed, checkpoint=self.book.checkpoint()
        )
        await self._ask(body)
