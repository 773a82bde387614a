"""What a wallet makes of what it is told about disputes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.events import Received
from clients.wallet import WalletError
from clients.wallet.cases import Case
from protocol.content import Reference
from protocol.messages import Body, compose
from protocol.messages import dispute as D
from protocol.messages import pay as P
from protocol.messages.pay import State
from tests.support.settlement import open_bank


async def test_only_our_worker_is_believed(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        bob = await bank.person("bob")
        cases, home = bob.wallet.book.cases, bob.wallet.home
        told = D.Case(
            payment=b"p" * 48, opener=b"o" * 32, payee=bob.account, ledger="EUR", exponent=2, amount=5,
            offers=(D.Offer(b"o" * 32, 5),), by=b"o" * 32, text="why",
        )  # fmt: skip

        def hear(account: bytes, body: Body, re: bytes = b"r" * 16) -> None:
            cases.heard(
                Received(topic=home.topic, offset=1, id=b"i" * 16, account=account, device=b"d" * 32, ts=1,
                         content=compose(body, re=Reference(re))),
                body,
            )  # fmt: skip

        hear(b"x" * 32, told)
        assert bob.wallet.disputes == []
        hear(home.worker, told)
        (case,) = bob.wallet.disputes
        assert (case.words, case.offer_of(b"o" * 32), case.offer_of(bob.account)) == (((b"o" * 32, "why"),), 5, None)
        assert repr(case) == f"Case({'70' * 16}, OPEN)"
        hear(home.worker, D.Case(**{n: getattr(told, n) for n in told.__struct_fields__ if n not in ("by", "text")}))
        assert len(bob.wallet.disputes[0].words) == 1
        refusal, step = P.Status(id=b"i" * 16, state=State.FAILED), b"s" * 16
        cases.steps[step] = None
        hear(home.worker, refusal)
        assert cases.steps == {step: None}
        hear(home.worker, P.History(entries=()), step)
        assert cases.steps == {step: None}
        hear(home.worker, refusal, step)
        assert cases.steps == {step: "refused"}
        hear(home.worker, told, step)
        assert cases.steps == {step: ""}
        await bob.engine.shelf.journal.flushed()
        again = type(cases)(bob.engine, bob.wallet.book)
        assert isinstance(again.cases[b"p" * 48], Case)
        await bank.running.finish()
        with pytest.raises(WalletError, match="not answered yet"):
            await bob.wallet.say_about(b"p" * 48, "hello", timeout_s=0)
        bob.engine.shelf.conversations.pop(home.topic)
        with pytest.raises(WalletError, match="is over"):
            await bob.wallet.say_about(b"p" * 48, "hello")
        bob.wallet.book.home = None
        hear(home.worker, told)
