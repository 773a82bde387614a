"""Disputes, in acts that tests and the proof share."""

from __future__ import annotations

from clients.client import Client
from clients.wallet import Payment, WalletError
from protocol.disputes import Step, What, sign_step, text_hash
from protocol.identity import SigningKey
from protocol.messages import dispute as D
from protocol.messages.dispute import Stage
from protocol.payments import TEXTS, PayCode
from tests.support.money import ask
from tests.support.proof import check
from tests.support.workers import until


def step(client: Client, payment: bytes, what: What, amount: int = 0, *, key: SigningKey | None = None,
         text: str = "", **changed: object) -> D.Dispute:  # fmt: skip
    """A step, perhaps a bad one."""
    values = {
        "worker": client.wallet.home.worker, "account": client.account, "payment": payment, "what": what,
        "amount": amount, "id": client.engine.shelf.new_id(), "expires_ms": client.engine.shelf.clock_ms() + 60_000,
        "text": text_hash(text), **changed,
    }  # fmt: skip
    made = Step(**values)  # type: ignore[arg-type]
    return D.Dispute(signed=sign_step(made, key or client.engine.shelf.device), text=text)


def bare(worker: bytes, account: bytes) -> D.Dispute:
    """A step of somebody whose client is not here."""
    made = Step(worker, account, b"p" * 48, What.OPEN, 1, b"i" * 16, 9, text_hash(""))
    return D.Dispute(signed=sign_step(made, SigningKey(b"k" * 32)))


async def refused(client: Client, body: D.Dispute, code: int) -> None:
    """It is refused, and with this code."""
    answer = await ask(client, body)
    check(answer[1] == code, f"a step got {answer}, wanted {code}")


async def stage(client: Client, payment: bytes, wanted: Stage) -> None:
    """Wait until somebody knows that a dispute stands so."""
    cases = client.wallet.book.cases.cases
    await until(lambda: payment in cases and cases[payment].stage == wanted, f"the dispute to be {wanted.name}")


async def heard(client: Client, payment: bytes, text: str) -> None:
    """Wait until somebody has heard what the other one said."""
    cases = client.wallet.book.cases.cases
    await until(lambda: any(text == words for _, words in cases[payment].words), text)


async def agreed(payer: Client, payee: Client, paid: Payment) -> None:
    """Opened about all, argued about, and half of it given back."""
    case = await payer.wallet.dispute(paid.operation, paid.amount, "it never came")
    check(case.offer_of(payer.account) == paid.amount, f"opening offers all of it: {case}")
    await stage(payee, paid.operation, Stage.OPEN)
    await payee.wallet.say_about(paid.operation, "it came late")
    await heard(payer, paid.operation, "it came late")
    await payee.wallet.offer(paid.operation, 0)
    await payee.wallet.offer(paid.operation, paid.amount // 2, "half of it")
    await heard(payer, paid.operation, "half of it")
    over = await payer.wallet.accept(paid.operation, paid.amount // 2)
    check((over.stage, over.returned) == (Stage.AGREED, paid.amount // 2), f"half goes back: {over}")
    await stage(payee, paid.operation, Stage.AGREED)


async def says_no(client: Client, payment: bytes, code: PayCode) -> None:
    """The wallet's own verb is refused with the words of a code."""
    try:
        await client.wallet.say_about(payment, "but")
    except WalletError as error:
        check(str(error) == TEXTS[code], f"{error}, wanted {TEXTS[code]}")
    else:
        check(False, "nobody refused it")
