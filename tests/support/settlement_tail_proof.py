"""What ``make prove-settlement`` shows about money and several people: red packets, and the demo's acts."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from protocol.payments import PayCode
from protocol.shares import at_random
from tests.support import money_disputes as D
from tests.support import money_stakes as M
from tests.support import money_together as T
from tests.support.proof import check
from tests.support.settlement import free, open_bank
from tests.support.settlement_life import pays
from tests.support.workers import until

CHAPPE = str(Path(sys.executable).with_name("chappe"))


async def packets(seed: int, divisions: int = 20_000) -> dict[str, Any]:
    """Random shares always sum and are never empty; five claim one packet; every bad one and every bad claim."""
    chance = random.Random(seed)
    for _ in range(divisions):
        count = chance.randrange(1, 101)
        amount = chance.randrange(count, 10 ** chance.randrange(3, 16))
        shares = at_random(amount, count, chance.randbytes(32))
        check(sum(shares) == amount and min(shares) >= 1 and len(shares) == count, f"{amount} in {count}: {shares}")
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice = await bank.person("alice", 10_000)
            others = [await bank.person(name) for name in ("bob", "carol", "dave", "erin")]
            topic = await T.group_of(bank, alice, *others)
            packet = await T.five_claim(alice, [alice, *others], topic, 1000)
            bad = await T.bad_fundings(alice, [one.account for one in others])
            refused = await T.bad_claims(alice, others[0], others[1], topic)
            check(bank.sum() == 10_000, f"the sum is {bank.sum()}, and was 10000")
            problems = await bank.audit()
            check(not problems, f"the audit says {problems}")
            shares = tuple(claim.amount for claim in packet.claimed)
            return {"divisions": divisions, "shares": shares, "bad packets": len(bad), "bad claims": len(refused)}


async def stakes(seed: int) -> dict[str, Any]:
    """Two matches at once: one is paid as corrected, one called off; a referee that contradicts itself gets nothing."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice, bob = await bank.person("alice", 1000), await bank.person("bob", 1000)
            raw = await M.match_is_paid(bank, alice, bob)
            await until(lambda: (free(alice.wallet), free(bob.wallet)) == (950, 1050), "the money")
            twice = M.terms(bank, alice, bob)
            await M.both_put(twice, alice, bob)
            await M.say(bob, twice, M.result(twice, 300, 0))
            caught = await M.say(alice, twice, M.result(twice, 0, 300))
            check(caught[1] == PayCode.RESULT_CONFLICT, f"two results of one revision: {caught}")
            over = await M.say(bob, raw, M.result(raw, 300, 0, revision=9))
            check(over[1] == PayCode.STAKE_OVER, f"a result of a paid match: {over}")
            check(bank.sum() == 2000, f"the sum is {bank.sum()}, and was 2000")
            problems = await bank.audit()
            check(not problems, f"the audit says {problems}")
            return {"paid": (50, 250), "put in": (100, 200), "contradiction": "all back"}


async def disputes(seed: int) -> dict[str, Any]:
    """Money frozen, argued about, and half of it given back; what is frozen is neither spent nor claimed."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_bank(Path(temporary)) as bank:
            alice, bob = await bank.person("alice", 1000), await bank.person("bob")
            paid = await pays(alice, bob, 400)
            await D.agreed(alice, bob, paid)
            other = await pays(alice, bob, 300)
            await alice.wallet.dispute(other.operation, 300, "this one too")
            spent = await bob.wallet.pay(alice.account, 201, "EUR")
            check(spent.code == 1060, f"frozen money was spent: {spent}")
            await alice.wallet.open("EUR")
            books = bank.books.account("EUR", bob.account)
            check(books is not None and books.debits_pending == 300, "frozen money was claimed")
            problems = await bank.audit()
            check(bank.sum() == 1000 and not problems, f"the sum is {bank.sum()}, the audit says {problems}")
            return {"frozen": (400, 300), "given back": 200, "spent": 0}


async def demo(seed: int) -> dict[str, Any]:
    """``chappe demo --json``: all that it promises, about money too."""
    done = await trio.run_process(
        [CHAPPE, "demo", "--json", "--away", "50", "--seed", str(seed)], capture_stdout=True, check=False
    )
    found = json.loads(done.stdout)
    check(found["ok"] and len(found["promises"]["money"]) == 5, f"the demo says {found['failures']}")
    money = found["acts"]["money"]
    return {"shares": money["shares"], "asked again": money["asked_again"], "settled": money["settled"]}
