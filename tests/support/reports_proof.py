"""C10: a report of an encrypted message, from a person to the operator, with real commands and a real relay process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from msgspec import structs

from clients.client import Client
from protocol.identity import Device, DeviceList, SigningKey, sign_list
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.reports import Ground, Report, seal
from protocol.requests import PostReport
from relay.demo.processes import RelayProcess, chappe
from tests.support.devices_proof import until
from tests.support.proof import check
from tests.support.spine.talks import open_person, open_relay_process, received, says, wait_for

THREAT = "pay, or I tell everybody\x1b[2J"
SIGNATURE = "the device did not sign this"


async def _command(*arguments: str | Path) -> tuple[int, str, str]:
    done = await trio.run_process(
        chappe(*(str(word) for word in arguments)), capture_stdout=True, capture_stderr=True, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def forged_list(account: bytes, devices: tuple[Device, ...], forger: SigningKey, now_ms: int) -> bytes:
    """A device list of somebody else's account, under a recovery key that is the forger's own."""
    listed = DeviceList(account, 9, now_ms, now_ms + 86_400_000, devices, recovery=forger.public, recovered=True)
    return sign_list(listed, forger)


def doctored(report: Report, elsewhere: Report, carol: Client, bob: Client) -> dict[str, tuple[Report, str]]:
    """By what was done to a genuine report: the result, and the reason for which it must be refused.

    The first two messages of ``report`` are of one sender; ``elsewhere`` is of another conversation.
    """
    item, other = report.items[:2]
    shelf, device = carol.engine.shelf, carol.engine.shelf.device.public

    def changed(lists: tuple[bytes, ...] = report.lists, **fields: Any) -> Report:
        return structs.replace(report, items=(structs.replace(item, **fields),), lists=lists)

    carols = (shelf.identity.signed_list,)
    forged = (forged_list(carol.account, bob.own_devices.devices, bob.engine.shelf.device, report.made_ms),)
    theirs = elsewhere.items[0]
    neighbours = (item, structs.replace(theirs, devices=len(report.lists)))
    strange = structs.replace(report, items=neighbours, lists=(*report.lists, *elsewhere.lists))
    return {
        "other words": (changed(content=compose(Text(text="I did not say this"))), SIGNATURE),
        "other sender": (changed(carols, account=carol.account, device=device), SIGNATURE),
        "other account": (changed(carols, account=carol.account), "not on the account's device list"),
        "other device": (changed(device=device), "not on the account's device list"),
        "list of somebody else": (changed(carols), "belongs to another account"),
        "forged list": (changed(forged, account=carol.account, device=bob.own_devices.devices[0].key), "recovered"),
        "signature of another message": (changed(signature=other.signature), SIGNATURE),
        "id of another message": (changed(id=other.id), SIGNATURE),
        "other epoch": (changed(context=report.items[2].context), SIGNATURE),
        "group context of another conversation": (changed(context=theirs.context), "another conversation"),
        "other conversation": (changed(topic=theirs.topic), "another conversation"),
        "no group context": (changed(context=b"nothing"), "cannot be read"),
        "neighbour of another conversation": (strange, "not what was attached"),
    }


async def _said(alice: Client, reader: Client, topic: bytes, *texts: str) -> list[int]:
    for text in texts:
        await alice.conversation(topic).send(text)
    await wait_for(reader, says(texts[-1]), f"the message {texts[-1]!r}")
    offsets = {event.content: event.offset for event in await received(reader, topic)}
    return [next(offset for content, offset in offsets.items() if text.encode() in content) for text in texts]


class Desk:
    """The operator: a directory with the private key, and the commands."""

    def __init__(self, home: Path, relay: RelayProcess) -> None:
        self._home = home
        self._data = relay.data

    async def judge(self, number: int) -> tuple[int, dict[str, Any], str]:
        """Fetch a report and verify it: (exit code, JSON, what a person is shown)."""
        file = self._home / f"report-{number}.json"
        code, _, said = await _command("admin", "reports", "fetch", str(number), file, "--data", self._data)
        check(code == 0, f"fetch: {said}")
        words = ("report", "verify", file, "--key", self._home / "report.key")
        code, out, said = await _command(*words, "--json")
        check(code in (0, 1), f"verify: {said}")
        shown = (await _command(*words))[1]
        check("\x1b" not in shown, "a control character of the reported message reached the terminal")
        return code, json.loads(out), shown

    async def confirm(self, told: dict[str, Any]) -> None:
        """The relay has the reported message where the reporter says."""
        words = ("entry", told["topic"], str(told["offset"]), "--data", self._data, "--json")
        code, out, said = await _command("admin", *words)
        check(code == 0, f"entry: {said}")
        names = ("id", "account", "device", "relay_ms")
        known = json.loads(out)
        check(all(known[name] == told[name] for name in names), f"the relay has {known}")

    async def close(self, number: int, left: int) -> None:
        """Close a report."""
        words = ("reports", "close", str(number), "--note", "banned", "--data", self._data)
        code, out, said = await _command("admin", *words)
        check(code == 0 and f"{left} wait" in out, f"close: {out}{said}")


async def c10_report(seed: int) -> dict[str, Any]:
    """A genuine report is shown as verified to the operator, each doctored one as not verified, with its reason."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        code, line, said = await _command("report", "key", "init", "--key", home / "report.key")
        check(code == 0 and (home / "report.key").stat().st_mode & 0o777 == 0o600, f"report key init: {said}")
        (home / "relay.toml").write_text(line)
        code, _, said = await _command("check-config", home / "relay.toml")
        check(code == 0, f"check-config: {said}")
        async with (
            open_relay_process(home, "--config", str(home / "relay.toml")) as relay,
            open_person(home, "alice", relay.url) as alice,
            open_person(home, "bob", relay.url) as bob,
            open_person(home, "carol", relay.url) as carol,
        ):
            desk = Desk(home, relay)
            topic = (await alice.pair(bob.account)).topic
            at = await _said(alice, bob, topic, "we have your pictures", THREAT)
            number = await bob.report(topic, at[1], Ground.THREAT, "she means it", attach=[at[0]])
            code, verdict, shown = await desk.judge(number)
            check(code == 0 and verdict["verified"] and shown.startswith("VERIFIED"), f"genuine: {verdict['why']}")
            told = verdict["messages"][0]
            check(told["text"] == THREAT and told["account"] == alice.account.hex(), f"it shows {told}")
            check(verdict["posted_by"] == bob.account.hex() and verdict["reason"] == "threat", "who reports, and why")
            await desk.confirm(told)
            reasons = await _doctored(home, desk, relay, (alice, bob, carol), topic, at)
            await desk.close(number, len(reasons))
            return {"genuine": "VERIFIED, with a neighbour", "doctored": len(reasons), "not verified": len(reasons)}


async def _doctored(
    home: Path, desk: Desk, relay: RelayProcess, people: tuple[Client, Client, Client], topic: bytes, at: list[int]
) -> dict[str, str]:
    """Post each doctored report as a hostile client would; what the operator is told of each."""
    alice, bob, carol = people
    fence = bob.conversation(topic).record.fence
    await alice.conversation(topic).rotate()
    await until(bob, lambda: bob.conversation(topic).record.fence > fence, "the next epoch")
    (late,) = await _said(alice, bob, topic, "in the next epoch")
    other = (await alice.pair(carol.account)).topic
    (there,) = await _said(alice, carol, other, "elsewhere")
    elsewhere = await carol.reporter.make(other, there, Ground.OTHER, "")
    genuine = await bob.reporter.make(topic, at[1], Ground.OTHER, "", [at[0], late])
    key = bytes.fromhex((home / "relay.toml").read_text().split('"')[1])
    reasons: dict[str, str] = {}
    for name, (report, reason) in doctored(genuine, elsewhere, carol, bob).items():
        poster = (alice, bob, carol)[len(reasons) % 3]  # each may post ten at once
        post = PostReport(key, seal(report, key, os.urandom))
        number = await (await poster.wait_connected()).ask("reports.post", post, int)
        code, verdict, shown = await desk.judge(number)
        check(code == 1 and shown.startswith("NOT VERIFIED"), f"{name}: it is shown as verified")
        check(reason in verdict["why"], f"{name}: refused because {verdict['why']!r}, not because {reason!r}")
        reasons[name] = verdict["why"]
    return reasons
