"""What a chat says about messages without words."""

from __future__ import annotations

from pathlib import Path

from clients.cli.money import Money
from clients.cli.news import News
from clients.cli.room import Room
from clients.client import Client
from clients.events import Received, decode_event
from protocol.messages.pay import State
from tests.support.settlement import open_bank
from tests.support.workers import until


class Face:
    """What one person's chat would show, in order."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.money = Money(Room(client))
        self.news = News(Room(client), self.money)
        self._seq = 0

    def shown(self) -> list[str]:
        """What came since the last call, as sentences."""
        said: list[str] = []
        for value, seq in ((value, seq) for seq, value in self.client.engine.shelf.vault.events(self._seq, 10_000)):
            self._seq, event = seq, decode_event(value, seq)
            if isinstance(event, Received) and not event.mine:
                sentence = self.news.sentence(event)
                said += [sentence] if sentence is not None else []
        return said

    def again(self) -> None:
        """As if everything came once more."""
        self._seq = 0

    async def comes(self, words: str) -> str:
        """Wait for a sentence."""
        said: list[str] = []

        def there() -> bool:
            said.extend(self.shown())
            return any(words in sentence for sentence in said)

        await until(there, words)
        return next(sentence for sentence in said if words in sentence)


async def test_what_becomes_of_money_is_said_once(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 10_000), await bank.person("bob")
        await alice.add_contact(bob.account, "bob")
        await bob.add_contact(alice.account, "alice")
        one, two = Face(alice), Face(bob)
        await two.money.verbs["wallet"](["open", "EUR"])
        assert "is a worker" in await two.comes("settlement")
        (asked,) = await two.money.verbs["request"](["alice", "3", "EUR", "tea"])
        digits = asked.split()[1].rstrip(";")
        said = await one.comes("bob asks")
        assert said == f"bob asks for 3.00 EUR  tea: /pay {digits} pays it, /decline {digits} does not"
        (line,) = await one.money.verbs["pay"]([digits, "yes"])
        assert await two.comes("settled") == line.strip().replace("to bob", "from alice")
        await until(lambda: alice.wallet.payments[0].handed, "the receipt on its way")
        assert not [sentence for sentence in one.shown() if "settled" in sentence]  # the verb has said it
        two.again()
        assert not [sentence for sentence in two.shown() if "settled" in sentence]  # a second receipt is no news
        (asked,) = await two.money.verbs["request"](["alice", "1", "EUR"])
        digits = asked.split()[1].rstrip(";")
        await one.comes("bob asks for 1.00 EUR")
        await one.money.verbs["decline"]([digits, "not", "today"])
        assert await two.comes("will not pay") == f"alice will not pay {digits}: not today"
        (asked,) = await two.money.verbs["request"](["alice", "2", "EUR"])
        digits = asked.split()[1].rstrip(";")
        await one.comes("bob asks for 2.00 EUR")
        await two.money.verbs["decline"]([digits])
        assert await one.comes("takes back") == f"bob takes back {digits}"


async def test_what_comes_later_than_the_verb_waits_is_news(tmp_path: Path) -> None:
    async with open_bank(tmp_path) as bank:
        alice, bob = await bank.person("alice", 100), await bank.person("bob", 1)
        await alice.add_contact(bob.account, "bob")
        one = Face(alice)
        one.shown()
        for amount, state in ((50, State.SETTLED), (5_000, State.FAILED)):
            payment = await alice.wallet.pay(bob.account, amount, "EUR", timeout_s=0.0)
            one.money.acting += 1
            await until(lambda p=payment: alice.wallet.payment(p.operation).state != State.UNKNOWN, "the answer")  # type: ignore[misc]
            await alice.engine.shelf.journal.flushed()
            assert one.shown() == []  # while a verb is at it
            one.money.acting -= 1
            one.again()
            assert [sentence for sentence in one.shown() if state.name.lower() in sentence]


def test_what_cannot_be_read_is_no_news(tmp_path: Path) -> None:
    event = Received(topic=b"", account=b"", device=b"", id=b"", offset=1, ts=0, content=b"nonsense")
    assert News.sentence(object.__new__(News), event) is None
