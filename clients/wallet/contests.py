"""What a wallet does where money is contested: stakes of matches, disputes about payments."""

from __future__ import annotations

from collections.abc import Callable

from clients.wallet.cases import Case
from clients.wallet.errors import ANSWER_S, WalletError
from clients.wallet.records import Payment
from clients.wallet.together import Together
from protocol import limits as L
from protocol.disputes import Step, What, sign_step, text_hash
from protocol.messages import dispute as D
from protocol.messages import stake as S
from protocol.packets import pot_of
from protocol.payments import Authorization, operation_id, sign_authorization
from protocol.stakes import check_stake, read_stake, stake_hash


class Contests(Together):
    """The part of ``Wallet`` that is about matches and disputes."""

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        raise NotImplementedError

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
        body = S.Result(stake=stake, id=self._engine.shelf.new_id(), signed=signed, checkpoint=self.book.checkpoint())
        await self._ask(body)

    # -- disputes ------------------------------------------------------------------------------------------------------
    @property
    def disputes(self) -> list[Case]:
        """All disputes of payments by us and to us, those that end first in front."""
        return sorted(self.book.cases.cases.values(), key=lambda case: case.expires_ms)

    async def dispute(self, payment: bytes, amount: int, text: str, *, timeout_s: float = ANSWER_S) -> Case:
        """Dispute a payment of ours, all or part: so much of the payee's money is frozen until it is resolved.

        Raises ``WalletError`` with the reason if the worker refuses it, or does not answer.
        """
        return await self._step(What.OPEN, payment, amount, text, timeout_s)

    async def say_about(self, payment: bytes, text: str, *, timeout_s: float = ANSWER_S) -> Case:
        """Say something in a dispute. Raises ``WalletError``."""
        return await self._step(What.EVIDENCE, payment, 0, text, timeout_s)

    async def offer(self, payment: bytes, amount: int, text: str = "", *, timeout_s: float = ANSWER_S) -> Case:
        """Offer that so much goes back to the payer, in place of what we offered before. Raises ``WalletError``."""
        return await self._step(What.OFFER, payment, amount, text, timeout_s)

    async def accept(self, payment: bytes, amount: int, *, timeout_s: float = ANSWER_S) -> Case:
        """Accept what the other one offers: the money moves at once. Raises ``WalletError``."""
        return await self._step(What.ACCEPT, payment, amount, "", timeout_s)

    async def withdraw(self, payment: bytes, text: str = "", *, timeout_s: float = ANSWER_S) -> Case:
        """End a dispute that we opened: nothing goes back. Raises ``WalletError``."""
        return await self._step(What.WITHDRAW, payment, 0, text, timeout_s)

    async def _step(self, what: What, payment: bytes, amount: int, text: str, timeout_s: float) -> Case:
        shelf, steps, cases = self._engine.shelf, self.book.cases.steps, self.book.cases.cases
        step = Step(
            self.home.worker, shelf.account, payment, what, amount, shelf.new_id(),
            shelf.clock_ms() + L.PAY_WINDOW_MS, text_hash(text),
        )  # fmt: skip
        body = D.Dispute(signed=sign_step(step, shelf.device), text=text, checkpoint=self.book.checkpoint())
        said = self.book.say(self.home.topic, body)
        if said is None:
            raise WalletError("the conversation with the worker is over; open a wallet again")
        steps[said] = None
        await shelf.journal.flushed()
        await self._until(lambda: steps[said] is not None, timeout_s)
        refusal = steps.pop(said)
        if refusal is None:
            raise WalletError("the worker has not answered yet; what you said counts when it does")
        if refusal:
            raise WalletError(refusal)
        return cases[payment]
