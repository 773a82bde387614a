"""What a wallet does with several people at once: red packets, and bills that are split."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from clients.engine import Engine
from clients.wallet.book import Book, is_final
from clients.wallet.errors import ANSWER_S, WalletError
from clients.wallet.pots import Packet
from clients.wallet.records import Home, Payment
from protocol import limits as L
from protocol.codec import encode_struct
from protocol.messages import Body
from protocol.messages import packet as K
from protocol.messages.pay import State
from protocol.packets import SEED_BYTES, Terms, commitment_of, pot_of, shares_of, terms_hash
from protocol.payments import Authorization, operation_id, sign_authorization
from protocol.shares import by_weight


class Together:
    """The part of ``Wallet`` that is about several people."""

    book: Book
    _engine: Engine
    _pair: Callable[[bytes], Awaitable[bytes]]
    _check_keys: Callable[[bytes], None]

    @property
    def home(self) -> Home:
        """See ``Wallet``."""
        raise NotImplementedError

    def exponent(self, ledger: str) -> int:
        """See ``Wallet``."""
        raise NotImplementedError

    async def request(self, topic: bytes, ledger: str, amount: int = 0, *, payer: bytes = b"", memo: str = "") -> bytes:
        """See ``Wallet``."""
        raise NotImplementedError

    async def outcome(self, operation: bytes, *, timeout_s: float = ANSWER_S) -> Payment:
        """See ``Wallet``."""
        raise NotImplementedError

    async def _ask(self, body: Body) -> None:
        raise NotImplementedError

    async def _send(self, payment: Payment) -> None:
        raise NotImplementedError

    # -- red packets ---------------------------------------------------------------------------------------------------
    @property
    def packets(self) -> list[Packet]:
        """All red packets that we gave or were shown, oldest first."""
        return sorted(self.book.pots.packets.values(), key=lambda packet: packet.made_ms)

    def packet(self, hash_: bytes) -> Packet:
        """A packet by the hash of its terms. Raises ``WalletError``."""
        found = self.book.pots.packets.get(hash_)
        if found is None:
            raise WalletError("there is no such red packet here")
        return found

    async def give(
        self, topic: bytes, members: Sequence[bytes], amount: int, ledger: str, shares: int, *, random: bool = True,
        memo: str = "", life_ms: int = L.PACKET_MS, timeout_s: float = ANSWER_S,
    ) -> Payment:  # fmt: skip
        """Give a red packet to the members of a conversation: HELD once it may be claimed; they are told then.

        ``amount`` in minor units, ``life_ms`` a day at most; what nobody takes comes back. Raises ``WalletError``,
        ``PayError``; then nothing was sent.
        """
        shelf, home = self._engine.shelf, self.home
        self._check_keys(topic)
        now_ms, id_ = shelf.clock_ms(), shelf.new_id()
        seed = shelf.entropy(SEED_BYTES) if random else b""
        terms = Terms(
            home.worker, shelf.account, ledger, self.exponent(ledger), amount, shares, now_ms + life_ms,
            commitment_of(seed) if random else b"", id_, tuple(members),
        )  # fmt: skip
        raw = encode_struct(terms)
        hash_, operation = terms_hash(raw), operation_id(shelf.account, id_)
        if len(raw) > L.PACKET_BYTES_MAX or not members:
            raise WalletError(f"a red packet is for 1 to {L.PACKET_SHARES_MAX} people")
        shares_of(terms, seed)
        payment = Payment(
            operation, home.worker, shelf.account, pot_of(hash_), ledger, terms.exponent, amount, now_ms, memo=memo,
            request=hash_,
        )  # fmt: skip
        payment.signed = sign_authorization(
            Authorization(
                home.worker, shelf.account, payment.payee, ledger, terms.exponent, amount, id_, now_ms,
                now_ms + L.PAY_WINDOW_MS, hash_,
            ),
            shelf.device,
        )  # fmt: skip
        self.book.pots.save(Packet(hash_, operation, topic, shelf.account, raw, now_ms, memo, seed))
        self.book.save(payment)
        funding = self.book.pots.funding(payment)
        assert funding is not None
        await self._ask(funding)
        return await self.outcome(operation, timeout_s=timeout_s)

    async def claim(self, hash_: bytes, *, timeout_s: float = ANSWER_S) -> Payment:
        """Take our share of a red packet: SETTLED with its amount, or FAILED with the reason. Raises ``WalletError``.

        Asked again before an answer came it is the same claim; one that was refused may be tried anew.
        """
        packet, shelf = self.packet(hash_), self._engine.shelf
        terms = packet.terms
        if terms.worker != self.home.worker:
            raise WalletError("this packet is kept by another worker than yours")
        known = self.book.payments.get(packet.claim)
        if known is None or known.state == State.FAILED:
            packet.claim = operation_id(shelf.account, shelf.new_id())
            self.book.pots.save(packet)
            self.book.save(
                Payment(
                    packet.claim, terms.worker, pot_of(hash_), shelf.account, terms.ledger, terms.exponent, 0,
                    shelf.clock_ms(), memo=packet.memo, request=hash_,
                )
            )  # fmt: skip
        elif is_final(known):
            return known
        id_ = packet.claim[: L.ID_BYTES]
        await self._ask(K.Claim(operation=packet.operation, id=id_, checkpoint=self.book.checkpoint()))
        return await self.outcome(packet.claim, timeout_s=timeout_s)

    # -- bills ---------------------------------------------------------------------------------------------------------
    async def split(
        self, weights: Mapping[bytes, int], amount: int, ledger: str, *, topic: bytes | None = None, memo: str = ""
    ) -> K.Split:
        """Ask others for their parts of a bill that we paid: account → weight, ours among them if we take a part.

        The requests are made in ``topic``, or in the conversation with each; what belongs together is told there.
        Raises ``WalletError``, ``ShareError``; then nobody was asked.
        """
        me = self._engine.shelf.account
        amounts = by_weight(amount, list(weights.values()))
        if len(weights) > L.SPLIT_PARTS_MAX:
            raise WalletError(f"a bill is split among {L.SPLIT_PARTS_MAX} people at most")
        others = [account for account in weights if account != me]
        topics = {account: topic or await self._pair(account) for account in others}
        parts = []
        for (account, weight), part in zip(weights.items(), amounts, strict=True):
            hash_ = b""
            if account != me and part:
                hash_ = await self.request(topics[account], ledger, part, payer=account, memo=memo)
            parts.append(K.Part(account, weight, part, hash_))
        body = K.Split(
            payee=me, ledger=ledger, exponent=self.exponent(ledger), amount=amount, parts=tuple(parts), memo=memo
        )
        for place in sorted(set(topics.values())):
            self.book.say(place, body)
        await self._engine.shelf.journal.flushed()
        return body
