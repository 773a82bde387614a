"""Every bad payment of the list, each with its one outcome, and the sums as they were."""

from __future__ import annotations

import msgspec

from clients.client import Client
from protocol.codec import decode_struct
from protocol.messages import pay as P
from protocol.messages.pay import State
from protocol.payments import LEDGER_CODES, PayCode, Signed, sign_authorization
from tests.support.money import ask, fields, order_to_pay, outcomes, sign
from tests.support.proof import check
from tests.support.settlement import Bank
from tests.support.workers import until

FAILED = State.FAILED
AMOUNTS = {
    "zero": (0, PayCode.AMOUNT_NOT_POSITIVE), "negative": (-5, PayCode.AMOUNT_NOT_POSITIVE),
    "a bool": (True, PayCode.AMOUNT_NOT_INTEGER), "a float": (1.5, PayCode.AMOUNT_NOT_INTEGER),
    "a text": ("100", PayCode.AMOUNT_NOT_INTEGER), "2^63": (2**63, PayCode.AMOUNT_TOO_LARGE),
    "2^64, which MessagePack only has as a float": (float(2**64), PayCode.AMOUNT_NOT_INTEGER),
}  # fmt: skip


async def bad_fields(bank: Bank, alice: Client, bob: Client) -> dict[str, tuple[State, int]]:
    """Amounts, currencies, windows, names and signatures; the outcomes by case. Raises ``Unproved``."""
    now_ms = alice.engine.shelf.clock_ms()
    wanted: dict[str, tuple[dict[str, object], int]] = {
        **{name: ({"amount": amount}, int(code)) for name, (amount, code) in AMOUNTS.items()},
        "unknown currency": ({"ledger": "CHF"}, PayCode.PAYEE_WITHOUT_WALLET),
        "no currency": ({"ledger": "euro!"}, PayCode.LEDGER_INVALID),
        "wrong exponent": ({"exponent": 3}, LEDGER_CODES + 34),
        "to oneself": ({"payee": alice.account}, PayCode.SELF_TRANSFER),
        "expired": ({"not_before_ms": now_ms - 10_000, "expires_ms": now_ms - 5_000}, PayCode.EXPIRED),
        "an endless window": ({"not_before_ms": 0}, PayCode.WINDOW_INVALID),
        "foreign worker": ({"worker": bob.account}, PayCode.FOREIGN_WORKER),
        "foreign payer": ({"payer": bob.account, "payee": bank.account}, PayCode.FOREIGN_PAYER),
        "more than there is": ({"amount": 10**9}, LEDGER_CODES + 60),
        "a refund of nothing, as a payment": ({"original": b"x" * 48}, PayCode.MALFORMED),
        "a request that is not shown": ({"request": b"r" * 32}, PayCode.REQUEST_MISMATCH),
    }
    found = {}
    for name, (changed, code) in wanted.items():
        found[name] = await order_to_pay(alice, **{"payee": bob.account, **changed})  # type: ignore[arg-type]
        check(found[name] == (FAILED, int(code)), f"{name}: {found[name]}, wanted {int(code)}")
    return {**found, **await _signatures(alice, bob)}


async def _signatures(alice: Client, bob: Client) -> dict[str, tuple[State, int]]:
    found = {}
    signed = sign(fields(alice, bob.account), bob.engine.shelf.device)
    found["a device of somebody else"] = await ask(alice, P.Authorize(signed=signed))
    check(found["a device of somebody else"] == (FAILED, PayCode.DEVICE_UNKNOWN), str(found))
    good = decode_struct(sign(fields(alice, bob.account), alice.engine.shelf.device), Signed)
    values = msgspec.msgpack.decode(good.body)
    longer = b"\xdc" + (len(values)).to_bytes(2, "big") + good.body[1:]  # the same array with a longer head
    again = msgspec.msgpack.encode(msgspec.structs.replace(good, body=longer))
    found["re-encoded"] = await ask(alice, P.Authorize(signed=again))
    check(found["re-encoded"] == (FAILED, PayCode.SIGNATURE_BAD), f"re-encoded: {found['re-encoded']}")
    found["rubbish"] = await ask(alice, P.Authorize(signed=b"rubbish"))
    check(found["rubbish"] == (FAILED, PayCode.MALFORMED), f"rubbish: {found['rubbish']}")
    return found


async def replays(bank: Bank, alice: Client, bob: Client) -> dict[str, tuple[State, int]]:
    """One authorization twenty times, and its id for something else."""
    values = fields(alice, bob.account, 100)
    signed = P.Authorize(signed=sign(values, alice.engine.shelf.device))
    before = bank.books.sequence
    first = await ask(alice, signed)
    count = len(outcomes(alice))
    for _ in range(20):
        await alice.conversation(alice.wallet.home.topic).send(signed)
    await until(lambda: len(outcomes(alice)) >= count + 20, "20 answers")
    check(bank.books.sequence == before + 1, f"one authorization made {bank.books.sequence - before} records")
    check(all(one == (State.SETTLED, 0) for one in outcomes(alice)[-20:]), "a replay got another answer")
    other = list(values)
    other[5] = 101
    reused = await ask(alice, P.Authorize(signed=sign(other, alice.engine.shelf.device)))
    check(reused == (FAILED, PayCode.ID_REUSED), f"a reused id: {reused}")
    return {"replayed 20 times": first, "its id for another amount": reused}


async def requests(bank: Bank, alice: Client, bob: Client, carol: Client) -> dict[str, tuple[State, int]]:
    """Paid twice, by a third party, cancelled, below the least part."""
    talk = await bob.pair(alice.account)
    other = await bob.pair(carol.account)
    found = {}
    asked = await bob.wallet.request(talk.topic, "EUR", 500, payer=alice.account, least=200)
    await until(lambda: asked in alice.wallet.book.requests, "the request")
    record, body = alice.wallet.request_of(asked)

    async def pay(who: Client, amount: int, hash_: bytes, id_: bytes, raw: bytes) -> tuple[State, int]:
        values = fields(who, bob.account, amount, request=hash_)
        return await ask(who, P.Authorize(signed=sign(values, who.engine.shelf.device), id=id_, body=raw))

    found["below the least"] = await pay(alice, 100, asked, record.id, record.body)
    found["a third party"] = await pay(carol, 500, asked, record.id, record.body)
    found["paid"] = await pay(alice, 300, asked, record.id, record.body)
    found["paid twice"] = await pay(alice, 500, asked, record.id, record.body)
    late = await bob.wallet.request(other.topic, "EUR", 10)
    raw, _ = bob.wallet.request_of(late)
    await bob.wallet.cancel(late)
    await until(lambda: (FAILED, PayCode.REQUEST_CANCELLED) in outcomes(bob), "the cancellation")
    found["cancelled"] = await pay(carol, 10, late, raw.id, raw.body)
    wanted = {
        "below the least": PayCode.AMOUNT_OUTSIDE_REQUEST, "a third party": PayCode.REQUEST_NOT_YOURS,
        "paid": 0, "paid twice": PayCode.REQUEST_PAID, "cancelled": PayCode.REQUEST_CANCELLED,
    }  # fmt: skip
    for name, code in wanted.items():
        state = State.FAILED if code else State.SETTLED
        check(found[name] == (state, code), f"{name}: {found[name]}, wanted {code}")
    check(body.least == 200, "the request lost its bounds")
    return found


async def refunds(alice: Client, bob: Client) -> dict[str, tuple[State, int]]:
    """More than the original, by somebody who did not get it."""
    paid = await alice.wallet.pay(bob.account, 400, "EUR")
    check(paid.state == State.SETTLED, f"a plain payment: {paid}")

    async def give_back(who: Client, to: bytes, amount: int) -> tuple[State, int]:
        values = fields(who, to, amount, original=paid.operation)
        return await ask(who, P.Refund(signed=sign(values, who.engine.shelf.device)))

    found = {
        "a part": await give_back(bob, alice.account, 300),
        "more than is left": await give_back(bob, alice.account, 101),
        "by the payer": await give_back(alice, bob.account, 10),
        "the rest": await give_back(bob, alice.account, 100),
    }
    wanted = (0, PayCode.REFUND_TOO_LARGE, PayCode.ORIGINAL_NOT_FOUND, 0)
    for (name, got), code in zip(found.items(), wanted, strict=True):
        check(got == (State.FAILED if code else State.SETTLED, code), f"{name}: {got}, wanted {code}")
    return found


__all__ = ["bad_fields", "refunds", "replays", "requests", "sign_authorization"]
