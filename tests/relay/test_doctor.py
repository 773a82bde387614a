"""What the doctor looks at, sound and unsound."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay import doctor as module
from relay.doctor import FAIL, OK, WARN, Check, directory, examine_all, insecure, installation, machine, reachable
from relay.run import open_running
from relay.testing import small


def by_name(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.status for check in checks}


async def test_a_running_relay(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = small(data=str(data), connections_max=10)
    async with open_running(settings):
        found = by_name(await examine_all(settings))
    assert found == {
        "python": OK, "packages": OK, "versions": OK, "encryption": WARN, "clock": OK, "descriptors": OK, "data": OK,
        "disk": found["disk"], "admin token": OK, "database": OK, "settings": OK, "relay": OK, "websocket": OK,
    }  # fmt: skip
    stopped = await examine_all(settings)
    assert by_name(stopped)["relay"] == WARN
    assert by_name(stopped)["port"] == OK


async def test_insecure_settings_of_the_running_relay_are_said(tmp_path: Path) -> None:
    settings = small(data=str(tmp_path), origins=("*",))
    async with open_running(settings):
        assert by_name(await examine_all(settings))["relay's settings"] == WARN
    assert [check.status for check in insecure(settings)] == [WARN]


async def test_ports_that_are_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = small(data=str(tmp_path), port=other.getsockname()[1])
        assert by_name(await examine_all(settings))["port"] == FAIL


async def test_no_relay_there() -> None:
    assert (await reachable("ws://127.0.0.1:1/ws")).status == FAIL


def test_an_unsound_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    spec = SimpleNamespace(origin="/elsewhere/relay/__init__.py")
    monkeypatch.setattr(module, "find_spec", lambda name: spec if name == "relay" else None)
    monkeypatch.setattr(module, "DEPENDENCIES", ("no-such-distribution",))
    found = list(installation())
    assert by_name(found)["python"] == by_name(found)["packages"] == FAIL
    assert "not installed" in found[2].text


def test_an_unsound_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert by_name(list(machine(small()))) == {"clock": FAIL, "descriptors": WARN}


def test_an_unsound_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small(data=str(tmp_path))
    assert by_name(list(directory(small(data=str(tmp_path / "absent"))))) == {"data": WARN}
    tmp_path.chmod(0o755)
    assert by_name(list(directory(settings)))["data"] == WARN
    assert by_name(list(directory(settings)))["database"] == WARN
    (tmp_path / "admin.token").write_text("x")
    (tmp_path / "admin.token").chmod(0o644)
    (tmp_path / "chappe.db").write_bytes(b"no database " * 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = by_name(list(directory(settings)))
    assert found == {"data": FAIL, "disk": FAIL, "admin token": FAIL, "database": FAIL}

    def unreadable(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(module, "examine", unreadable)
    assert by_name(list(directory(settings)))["database"] == FAIL
