"""Takeouts: everything is in it, nothing secret is, and it appears whole or not at all."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clients import records as R
from clients import takeout
from clients.client import Client
from clients.events import Joined, Received, Stored
from clients.takeout import KEYS_FILE, TakeoutError, export, open_keys, seal_keys
from protocol.content import Reference
from protocol.messages import compose
from protocol.messages.chat import Media, Text
from tests.support.clients import START_MS, group_of, open_world
from tests.support.devices import link

MEDIA = Media(
    id=b"f" * 16, name="tea.jpg", mime="image/jpeg", size=5, hash=b"h" * 32, key=b"SECRET-KEY-OF-A-FILE-SECRET-KEY!",
    chunk=65_536, chunks=(b"c" * 32,), caption="tea",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least that libsodium takes: a real one costs a second and 256 MiB."""
    monkeypatch.setattr("clients.takeout._OPS", 1)
    monkeypatch.setattr("clients.takeout._MEM", 8192)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def secrets(client: Client) -> list[bytes]:
    identity = client.engine.shelf.identity
    found = [
        identity.root_seed, identity.device_seed, identity.inbox_private, identity.recovery_seed,
        identity.contact_token, *identity.invite_tokens, *(t.token for t in client.engine.shelf.tokens.values()),
        MEDIA.key,
    ]  # fmt: skip
    return [secret for secret in found if secret]


async def test_everything_is_in_it_and_nothing_secret(autojump_clock: object, tmp_path: Path) -> None:
    async with open_world() as world:
        (alice, bob), talk = await group_of(world, "alice", "bob", title="Tea & Käse / 1")
        pair = await alice.pair(bob.account)
        await alice.claim_handle("alice")
        await alice.add_contact(bob.account, "bob", verified=True)
        await alice.invite()
        first = await talk.send("hello")
        await world.settle()
        await bob.conversation(talk.topic).send(Text(text="there", mentions=(alice.account,)), re=Reference(first))
        await bob.conversation(pair.topic).send(MEDIA)
        await link(world, alice, "second")
        await world.settle(5)
        await talk.mute()
        await talk.mark_read()
        target = tmp_path / "deep" / "out"
        counts = export(alice.engine.shelf, target, START_MS)
        assert counts == {"contacts": 1, "blocked": 0, "conversations": 2, "messages": 3, "files": 1}
        profile = json.loads((target / "profile.json").read_text())
        assert (profile["handle"], profile["account"], len(profile["devices"])) == ("alice", alice.account.hex(), 2)
        assert [device["this_one"] for device in profile["devices"]] == [True, False]
        assert lines(target / "contacts.jsonl") == [
            {"account": bob.account.hex(), "name": "bob", "verified": True, "keys_changed": False}
        ]
        talks = {row["topic"]: row for row in lines(target / "conversations.jsonl")}
        assert set(talks) == {talk.topic.hex(), pair.topic.hex()}
        row = talks[talk.topic.hex()]
        assert row["title"] == "Tea & Käse / 1"
        assert row["file"].endswith("-Tea-Käse-1.jsonl")
        assert (row["muted"], row["read_to"], row["messages"]) == (True, talk.read_to, 2)
        told = lines(target / row["file"])
        assert [event["event"] for event in told] == ["joined", "message", "message"]
        assert [event["body"]["text"] for event in told[1:]] == ["hello", "there"]
        assert told[2]["re"] == told[1]["id"] == first.hex()
        assert [event["mine"] for event in told[1:]] == [True, False]
        (file,) = lines(target / "files.jsonl")
        assert (file["name"], file["hash"], file["caption"]) == ("tea.jpg", MEDIA.hash.hex(), "tea")
        assert takeout.NO_KEYS in (target / "README.txt").read_text()
        whole = b"".join(path.read_bytes() for path in target.rglob("*") if path.is_file())
        for secret in secrets(alice):
            assert secret not in whole
            assert secret.hex().encode() not in whole
        assert os.listdir(target.parent) == ["out"]


async def test_a_zip_with_keys(autojump_clock: object, tmp_path: Path) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        target = tmp_path / "out.zip"
        export(alice.engine.shelf, target, START_MS, passphrase="open sesame")
        with zipfile.ZipFile(target) as packed:
            assert {"README.txt", "profile.json", KEYS_FILE} <= set(packed.namelist())
            sealed = packed.read(KEYS_FILE)
            assert takeout.WITH_KEYS in packed.read("README.txt").decode()
        assert target.stat().st_mode & 0o077 == 0
        identity = alice.engine.shelf.identity
        opened = open_keys(sealed, "open sesame")
        assert opened["device_seed"] == identity.device_seed.hex()
        assert identity.root_seed is not None
        assert opened["root_seed"] == identity.root_seed.hex()
        with pytest.raises(TakeoutError, match="does not open"):
            open_keys(sealed, "open barley")
        for bad in (b"", b"keys", sealed[:40]):
            with pytest.raises(TakeoutError, match="no file"):
                open_keys(bad, "open sesame")
        with pytest.raises(TakeoutError, match="exists already"):
            export(alice.engine.shelf, target, START_MS)


def test_a_device_without_the_root_key() -> None:
    identity = R.Identity(b"a" * 32, None, b"d" * 32, b"i" * 32, b"p" * 32, b"")
    assert open_keys(seal_keys(identity, "x", os.urandom), "x")["root_seed"] is None


async def test_a_place_that_cannot_be_written(
    autojump_clock: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world() as world:
        (alice,) = await world.people("alice")
        (tmp_path / "file").write_text("")
        with pytest.raises(TakeoutError, match="cannot be written"):
            export(alice.engine.shelf, tmp_path / "file" / "out", START_MS)

        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(takeout, "_zip", full)
        with pytest.raises(TakeoutError, match="No space left"):
            export(alice.engine.shelf, tmp_path / "out.zip", START_MS)
        assert sorted(os.listdir(tmp_path)) == ["file"]


def test_what_an_event_says() -> None:
    received = Received(
        topic=b"t" * 32, offset=4, id=b"i" * 16, account=b"a" * 32, device=b"d" * 32, ts=START_MS, content=b"\xc1"
    )
    row = takeout.message(received, b"a" * 32)
    assert row is not None
    assert row["unreadable"]
    unknown = msgspec.msgpack.encode({"t": "chat.dance", "v": 9, "b": {"steps": 3}})
    row = takeout.message(msgspec.structs.replace(received, content=unknown), b"b" * 32)
    assert row is not None
    assert row["body"] == {"raw": msgspec.msgpack.encode({"steps": 3}).hex()}
    again = compose(Text(text="edited"), rp=b"o" * 16)
    row = takeout.message(msgspec.structs.replace(received, content=again), b"b" * 32)
    assert row is not None
    assert (row["rp"], row["mine"]) == ((b"o" * 16).hex(), False)
    assert takeout.message(Stored(topic=b"t" * 32, id=b"i" * 16, offset=4), b"a" * 32) is None
    assert takeout.message(Joined(topic=b"t" * 32, by=b"a" * 32, members=(b"a" * 32,)), b"a" * 32) == {
        "event": "joined", "by": (b"a" * 32).hex(), "members": [(b"a" * 32).hex()], "again": False
    }  # fmt: skip
