"""The demo's acts about money: asked for, paid, proved, given back; a red packet; a payer who is killed.

Everything goes through commands that a person would type. The worker is a process of its own, on the same relay, with
an account like anybody's: the relay carries its messages and reads none of them.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from relay.demo.processes import ANSWER_S, READY_S, DemoFailed, Person, WorkerProcess, chappe, clean_environment

CURRENCY: Final = "EUR"
ISSUED: Final = "100"
ISSUED_MINOR: Final = 10_000
PACKET: Final = "10"
PACKET_MINOR: Final = 1000
ASKED_AGAIN: Final = 20
_TRIES: Final = 5  # of killing the payer: one that comes before anything was signed shows nothing
_RETRY_S: Final = 0.05


@dataclass
class MoneyFigures:
    """What the acts about money found out. Amounts in minor units."""

    verified_offline: bool = False
    refunded: bool = False
    shares: list[int] = field(default_factory=list)
    recomputed: int = 0  # clients that computed the shares anew from the seed, and found them fair
    payer_killed_by: int = 0
    asked_again: int = 0
    settled: int = 0  # records of the killed payer's payment
    balances: dict[str, int] = field(default_factory=dict)
    audit: str = ""

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


class Money:
    """The acts. ``people`` are connected, know each other by name, and are all in the group of this title."""

    def __init__(
        self, directory: Path, people: dict[str, Person], title: str, tell: Callable[[str], None],
        url: Callable[[], str],
    ) -> None:  # fmt: skip
        self.figures = MoneyFigures()
        self.worker = WorkerProcess("settlement", directory / "workers", directory / "settlement.log")
        self._directory = directory
        self._people = people
        self._title = title
        self._tell = tell
        self._url = url
        self._key = ""

    async def start(self) -> None:
        """Start the worker; ``run`` waits until it is there."""
        await self.worker.start(self._url())

    async def run(self, nursery: trio.Nursery, topic: str) -> None:
        """All acts. Raises ``DemoFailed``."""
        await self._open()
        await self._pay()
        await self._packet(topic)
        await self._killed_payer(nursery)
        await self._audit()

    # -- acts ----------------------------------------------------------------------------------------------------------
    async def _open(self) -> None:
        self._tell(f"money: an operator issues {ISSUED} {CURRENCY} of credits to alice; everybody opens a wallet")
        alice = self._people["alice"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._begin)
            await self._insists(alice, f"no settlement worker; see {self.worker.log}", "add", handle="settlement")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._find_key)
            nursery.start_soon(self._order, "issue", alice.account, ISSUED, CURRENCY, "--id", "demo")
            for person in self._people.values():
                nursery.start_soon(self._opened, person)

    async def _begin(self) -> None:
        """Begin the currency, as soon as the worker has made its directory."""
        with trio.move_on_after(READY_S):
            while not (self.worker.data / "settlement" / "ledger.db").exists():  # noqa: ASYNC110 - files ring no bell
                await trio.sleep(_RETRY_S)
        await self._order("open", CURRENCY)

    async def _order(self, *words: str) -> None:
        """An order of the operator; it counts once however often it is given, so a slow worker is asked again."""
        for _ in range(_TRIES - 1):
            with suppress(DemoFailed):
                await self._command("ledger", *words)
                return
        await self._command("ledger", *words)

    async def _opened(self, person: Person) -> None:
        await self._insists(person, "no wallet could be opened", "wallet", words=["open", CURRENCY])

    async def _find_key(self) -> None:
        listed = await self._command("worker", "list", "--json")
        self._key = json.loads(listed.splitlines()[0])["account"]

    async def _pay(self) -> None:
        self._tell("bob asks alice for 12.50; she pays; he checks the receipt, offline, from a file; he gives it back")
        alice, bob = self._people["alice"], self._people["bob"]
        (asked,) = await self._lines(bob, "request", "alice", "12.50", CURRENCY, "lunch")
        request = asked.split()[1].rstrip(";")
        await self._shows(alice, "payments", request)
        number = await self._settled(alice, "pay", request, "yes")
        await self._shows(bob, "payments", number)
        file = self._directory / "receipt.json"
        await self._saved(bob, number, file)
        checked = json.loads(await self._command("receipt", "verify", str(file), "--worker", self._key, "--json"))
        self.figures.verified_offline = checked["verified"] is True and checked["amount"] == 1250
        await self._settled(bob, "refund", number, "yes")
        self.figures.refunded = True

    async def _settled(self, person: Person, verb: str, *words: str) -> str:
        """Move money, and ask until it is settled; the payment's number."""
        number = (await self._lines(person, verb, *words))[0].split()[0]
        await self._shows(person, "payments", "settled", "again", number)
        return number

    async def _saved(self, person: Person, number: str, file: Path) -> None:
        """The payer's client hands the receipt over in the people's own conversation: it may be on its way."""
        await self._insists(person, "the receipt was never handed over", "payments", words=["save", number, str(file)])

    async def _packet(self, topic: str) -> None:
        everybody = list(self._people.values())
        count = str(len(everybody))
        self._tell(f"alice puts a red packet of {PACKET}.00 into the group: {count} random shares, one for each")
        heard = {person.name: len(person.lines(topic)) for person in everybody}
        alice = self._people["alice"]
        await self._lines(alice, "packet", self._title, PACKET, CURRENCY, count, "luck", "yes")
        packet = (await self._shows(alice, "claim", "luck"))[0].split()[0]
        async with trio.open_nursery() as nursery:
            for person in everybody:
                nursery.start_soon(self._claims, person, packet)
        for person in everybody:
            lines = await self._shows(person, "claim", "what the seed says", packet)
            self.figures.recomputed += 1
            self.figures.shares = [int(word) for word in lines[1].partition(": ")[2].split()[:-2:2]]
            # The packet, and its end: heard by all, so that their histories can be compared.
            await person.until(partial(_heard, person, topic, heard[person.name] + 2), "the end of the packet")

    async def _claims(self, person: Person, packet: str) -> None:
        await self._shows(person, "claim", packet)
        await self._lines(person, "claim", packet)

    async def _killed_payer(self, nursery: trio.Nursery) -> None:
        alice = self._people["alice"]
        self._tell(
            "the worker is held up, alice pays bob 5.00, her client is killed with -9 before it can have an answer,"
            f" starts again, and asks {ASKED_AGAIN} times"
        )
        for _ in range(_TRIES):
            await self._shows(alice, "wallet", CURRENCY)
            self.worker.signal(signal.SIGSTOP)
            try:
                await self._pays_and_dies(alice)
            finally:
                self.worker.signal(signal.SIGCONT)
            await alice.start(nursery, self._url())
            unknown = [line for line in await self._lines(alice, "payments") if "5.00 EUR to bob" in line]
            if unknown:
                break
        else:
            raise DemoFailed("alice was never killed behind a payment")
        number = unknown[0].split()[0]
        answers = set()
        for _ in range(ASKED_AGAIN):
            answers.update(await self._shows(alice, "payments", "settled", "again", number))
            self.figures.asked_again += 1
        if len(answers) != 1:
            raise DemoFailed(f"asking again got different answers: {answers}")

    async def _pays_and_dies(self, alice: Person) -> None:
        stored = len(alice.stored)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(alice.ask, "pay", words=["bob", "5", CURRENCY, "yes"]))
            await alice.until(lambda: len(alice.stored) > stored, "the relay to take the payment")
            self.figures.payer_killed_by = -await alice.kill()

    async def _audit(self) -> None:
        figures = self.figures
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._check_books)
            for person in self._people.values():
                nursery.start_soon(self._balance, person)
        lines = [line for line in await self._lines(self._people["bob"], "payments") if "5.00 EUR from alice" in line]
        figures.settled = sum("12.50" not in line for line in lines)

    async def _check_books(self) -> None:
        self.figures.audit = (await self._command("ledger", "check")).strip()

    async def _balance(self, person: Person) -> None:
        (line,) = await self._shows(person, "wallet", CURRENCY)
        self.figures.balances[person.name] = int(line.split()[0].replace(".", ""))

    # -- judging -------------------------------------------------------------------------------------------------------
    def promises(self) -> dict[str, bool]:
        """What was promised about money, and whether it happened."""
        f = self.figures
        return {
            "receipt of a paid request, verified offline": f.verified_offline,
            "refund": f.refunded,
            f"red packet: {' + '.join(map(str, f.shares))} cents, recomputed by {f.recomputed} clients": (
                sum(f.shares) == PACKET_MINOR and f.recomputed == len(f.shares) == len(self._people)
            ),
            f"payer killed with signal {f.payer_killed_by}, asked {f.asked_again} times, settled {f.settled} time": (
                (f.payer_killed_by, f.asked_again, f.settled) == (9, ASKED_AGAIN, 1)
            ),
            f"all money there: {sum(f.balances.values()) / 100:.2f} of {ISSUED}.00; audit: {f.audit}": (
                sum(f.balances.values()) == ISSUED_MINOR and f.audit.endswith(" 0 problems")
            ),
        }

    # -- helpers -------------------------------------------------------------------------------------------------------
    async def _insists(self, person: Person, failure: str, verb: str, **arguments: Any) -> None:
        """A command that may be refused at first. Raises ``DemoFailed`` if it always is."""
        with trio.move_on_after(ANSWER_S):
            while True:
                if "error" not in await person.ask(verb, **arguments):
                    return
                await trio.sleep(_RETRY_S)
        raise DemoFailed(f"{person.name}: {failure}")

    async def _lines(self, person: Person, verb: str, *words: str) -> list[str]:
        lines: list[str] = (await person.do(verb, words=list(words)))["lines"]
        return lines

    async def _shows(self, person: Person, verb: str, wanted: str, *words: str) -> list[str]:
        """Look until a command shows something."""
        with trio.move_on_after(ANSWER_S):
            while True:
                lines: list[str] = (await person.ask(verb, words=list(words))).get("lines", [])
                if any(wanted in line for line in lines):
                    return lines
                await trio.sleep(_RETRY_S)
        raise DemoFailed(f"{person.name} never saw {wanted!r} in /{verb}")

    async def _command(self, *words: str) -> str:
        """Run ``chappe`` on the worker's directory. Raises ``DemoFailed`` if it refuses."""
        where = () if words[0] == "receipt" else ("--data", str(self.worker.data))
        done = await trio.run_process(
            chappe(*words, *where), capture_stdout=True, capture_stderr=True, check=False, env=clean_environment()
        )
        if done.returncode:
            raise DemoFailed(f"chappe {' '.join(words)}: {(done.stderr or done.stdout).decode().strip()}")
        return done.stdout.decode()


def _heard(person: Person, topic: str, count: int) -> bool:
    return len(person.lines(topic)) >= count
