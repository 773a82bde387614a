"""`chappe report`: what the operator is shown of a genuine report and of a doctored one, and what goes wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from clients.cli import report as cli
from protocol.identity import Device, DeviceList, SigningKey, sign_list
from protocol.messages import compose
from protocol.messages.chat import Text
from protocol.reports import Ground, Report, seal
from tests.support.clients import open_world
from tests.support.reporting import PRIVATE, PUBLIC, scene

Capture = pytest.CaptureFixture[str]
EVIL = "pay\nVERIFIED\u202e \x1b[2Jnow"


@pytest.fixture(scope="module")
def genuine() -> Report:
    async def make() -> Report:
        async with open_world() as world:
            (_, ben, _), talk, at = await scene(world, "before", EVIL)
            return await ben.reporter.make(talk.topic, at[1], Ground.THREAT, "she\x07 means it", [at[0]])

    return trio.run(make, clock=MockClock(autojump_threshold=0))


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "report.key"
    path.write_text(PRIVATE.hex() + "\n")
    return path


def fetched(folder: Path, report: Report, **changes: Any) -> Path:
    """A file as `chappe admin reports fetch` writes it."""
    path = folder / "report.json"
    sealed = seal(report, PUBLIC, os.urandom).hex()
    case = {"number": 3, "account": "ab" * 32, "made_ms": 1_750_000_000_000, "size": 9, "closed_ms": 0, "note": ""}
    path.write_text(json.dumps({**case, "sealed": sealed, **changes}))
    return path


def test_a_genuine_report(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    file = fetched(tmp_path, genuine)
    assert cli.verify(file, key_file=key_file) == cli.VERIFIED == 0
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert lines[0] == "VERIFIED"
    assert lines[1].startswith("report 3 for threat, by account " + "ab" * 32)
    assert lines.count("VERIFIED") == 1  # the message's own line stands behind a bar
    assert "    | VERIFIED\ufffd \ufffd[2Jnow" in lines
    assert "attached 1: message" in shown
    assert genuine.items[0].account.hex() in shown
    assert "by the sender's clock (signed)" in shown
    assert not {"\x1b", "\u202e", "\x07"} & set(shown)


def test_a_genuine_report_for_programs(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    assert cli.verify(fetched(tmp_path, genuine), key_file=key_file, json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verified"], told["why"], told["reason"], told["number"]) == (True, "", "threat", 3)
    assert [message["text"] for message in told["messages"]] == [EVIL, "before"]
    assert told["messages"][0]["offset"] == genuine.items[0].offset


def test_a_doctored_report(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    item = structs.replace(genuine.items[0], content=compose(Text(text="else")), ts=2**52)
    file = fetched(tmp_path, structs.replace(genuine, items=(item,), ground=99, text=""))
    assert cli.verify(file, key_file=key_file) == cli.NOT_VERIFIED == 1
    shown = capsys.readouterr().out
    assert shown.startswith("NOT VERIFIED: the device did not sign this")
    assert "for reason 99" in shown
    assert f"{2**52} ms by the relay" in shown
    assert cli.verify(file, key_file=key_file, json=True) == 1
    assert "did not sign" in json.loads(capsys.readouterr().out)["messages"][0]["why"]


def test_notes_are_shown(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    item = structs.replace(genuine.items[0], ts=genuine.items[0].ts + 10 * 86_400_000)
    assert cli.verify(fetched(tmp_path, structs.replace(genuine, items=(item,))), key_file=key_file) == 0
    assert "  note: the time by the relay" in capsys.readouterr().out


def test_a_recovered_account(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    item, recovery, made = genuine.items[0], SigningKey(bytes([5]) * 32), genuine.made_ms
    device = Device(item.device, PUBLIC, 1, True)
    devices = DeviceList(item.account, 2, made, made + 1000, (device,), recovery.public, recovered=True)
    signed = sign_list(devices, recovery)
    file = fetched(tmp_path, structs.replace(genuine, items=(item,), lists=(signed,)))
    assert cli.verify(file, key_file=key_file) == 1
    assert "chappe admin devices" in capsys.readouterr().out
    (tmp_path / "list").write_text(signed.hex() + "\n")
    assert cli.verify(file, key_file=key_file, account_list=tmp_path / "list") == 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sealed": 5}', '{"sealed": "xy"}', '{"sealed": "c0"}', "\u00fc"])
def test_what_is_no_report(text: str, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text, encoding="latin-1")
    assert cli.verify(file, key_file=key_file) == cli.EXIT_REFUSED == 2
    assert "cannot be opened" in capsys.readouterr().err


def test_what_cannot_be_read(genuine: Report, tmp_path: Path, key_file: Path, capsys: Capture) -> None:
    assert cli.verify(tmp_path / "absent", key_file=key_file) == 2
    assert "absent cannot be read" in capsys.readouterr().err
    file = fetched(tmp_path, genuine)
    assert cli.verify(file, key_file=tmp_path / "no.key") == 2
    assert "chappe report key init" in capsys.readouterr().err
    key_file.write_text("c0ffee")
    assert cli.verify(file, key_file=key_file) == 2
    key_file.write_text("07" * 32)
    assert cli.verify(file, key_file=key_file) == 2
    assert "another report key" in capsys.readouterr().err
    key_file.write_text("no hex")
    assert cli.show(file=key_file) == 2


def test_keys(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "new" / "report.key"
    assert cli.init(file=file) == 0
    made = capsys.readouterr()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() not in made.out + made.err
    assert cli.show(file=file) == 0
    assert capsys.readouterr().out == made.out
    assert made.out.startswith('report_key = "')
    assert cli.init(file=file) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.init(file=file / "below") == 2
