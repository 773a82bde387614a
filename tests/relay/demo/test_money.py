"""The demo's acts about money with three people: real processes, a real kill; and what is said when it goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from relay.demo import money as money_module
from relay.demo.money import Money
from relay.demo.processes import Bell, DemoFailed, Person, RelayProcess

NAMES = ("alice", "bob", "carol")


async def test_everything_about_money_is_kept(tmp_path: Path) -> None:
    relay, bell = RelayProcess(tmp_path / "relay", tmp_path / "relay.log"), Bell()
    people = {name: Person(name, tmp_path / name, tmp_path / f"{name}.log", bell) for name in NAMES}
    told: list[str] = []
    money = Money(tmp_path, people, "friends", told.append, lambda: relay.url)
    async with trio.open_nursery() as nursery:
        try:
            await relay.start(nursery)
            await money.start()
            async with trio.open_nursery() as starting:
                for person in people.values():
                    starting.start_soon(_arrive, nursery, person, relay.url)
            for name, person in people.items():
                for other in NAMES:
                    if other != name:
                        await person.do("add", handle=other)
            topic = (await people["alice"].do("group", title="friends", names=["bob", "carol"]))["topic"]
            for person in people.values():
                await person.until(lambda person=person: _is_in(person, topic), "the group")  # type: ignore[misc]
            await money.run(nursery, topic)
        finally:
            for person in people.values():
                await person.stop()
            await money.worker.stop()
            await relay.stop()
    assert [what for what, kept in money.promises().items() if not kept] == []
    assert len(money.promises()) == 5
    figures = money.figures.as_json()
    assert sum(figures["balances"].values()) == 10_000
    assert (figures["payer_killed_by"], figures["asked_again"], figures["settled"]) == (9, 20, 1)
    assert len(told) == 4
    assert [fault for person in people.values() for fault in person.faults] == []


async def _arrive(nursery: trio.Nursery, person: Person, url: str) -> None:
    await person.start(nursery, url)
    await person.do("handle", name=person.name)
    person.account = (await person.do("account"))["account"]


def _is_in(person: Person, topic: str) -> bool:
    return any(event["event"] == "joined" and event["topic"] == topic for event in person.events)


class Mute(Person):
    """Somebody whose client refuses everything, or shows nothing."""

    refuses = True

    async def ask(self, verb: str, **arguments: object) -> dict[str, object]:
        return {"error": "no"} if self.refuses else {"lines": []}


async def test_what_is_said_when_it_does_not_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money_module, "ANSWER_S", 0)
    mute = Mute("alice", tmp_path, tmp_path / "log", Bell())
    money = Money(tmp_path, {"alice": mute}, "friends", print, str)
    with pytest.raises(DemoFailed, match="alice: no worker"):
        await money._insists(mute, "no worker", "add")
    mute.refuses = False
    with pytest.raises(DemoFailed, match="never saw 'settled'"):
        await money._shows(mute, "payments", "settled")
    with pytest.raises(DemoFailed, match="chappe ledger check: chappe ledger: no settlement worker has run"):
        await money._command("ledger", "check")
    assert not any(money.promises().values())
    await money.worker.stop()
