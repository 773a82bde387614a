"""The vault: sealed, bound, locked, and whole after a crash at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients import vault as module
from clients.vault import Batch, Secret, Vault, VaultError
from tests.support.clients import entropy_of

KEY = Secret("key", bytes(range(32)))
MARKER = b"a marker that must not be found"
TOPIC, OTHER = bytes([1]) * 32, bytes([2]) * 32


@contextlib.contextmanager
def opened(path: Path, secret: Secret = KEY) -> Iterator[Vault]:
    """A vault that is closed afterwards."""
    vault = Vault(path, secret)
    try:
        yield vault
    finally:
        vault.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "vault.db"


def batch(*rows: tuple[str, bytes, bytes | None], events: tuple[tuple[int, bytes, bytes], ...] = ()) -> Batch:
    made = Batch(events=list(events))
    for row in rows:
        made.put(*row)
    return made


def tamper(path: Path, *statements: str) -> None:
    """Change the file behind the vault's back."""
    database = sqlite3.connect(path)
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()


# -- what it keeps -----------------------------------------------------------------------------------------------------
def test_rows_come_back_after_a_restart(path: Path) -> None:
    with opened(path) as vault:
        assert vault.last_seq() == 0
        vault.commit([batch(("a", b"1", b"one"), ("a", b"2", b"two"), ("b", b"1", b"other"))])
        vault.commit([batch(("a", b"2", None), ("a", b"1", b"newer"))])
    with opened(path) as vault:
        assert vault.get("a", b"1") == b"newer"
        assert vault.get("a", b"2") is None
        assert sorted(vault.scan("a")) == [b"newer"]
        assert list(vault.scan("b")) == [b"other"]
        assert list(vault.scan("c")) == []


def test_a_later_write_of_a_batch_wins(path: Path) -> None:
    with opened(path) as vault:
        vault.commit([batch(("a", b"1", b"first"), ("a", b"1", b"second")), batch(("a", b"2", b"x"))])
        assert vault.get("a", b"1") == b"second"
        assert vault.get("a", b"2") == b"x"


def test_events_by_number_and_by_topic(path: Path) -> None:
    with opened(path) as vault:
        told = [(n, TOPIC if n % 2 else OTHER, b"event %d" % n) for n in range(1, 11)]
        vault.commit([batch(events=tuple(told))])
        assert vault.last_seq() == 10
        assert vault.events(7, 2) == [(8, b"event 8"), (9, b"event 9")]
        assert [seq for seq, _ in vault.events(2, 100, TOPIC)] == [3, 5, 7, 9]
        assert [seq for seq, _ in vault.recent(OTHER, 2)] == [8, 10]


def test_an_empty_batch_is_nothing() -> None:
    assert not Batch()
    assert batch(("a", b"1", None))
    assert batch(events=((1, TOPIC, b""),))


# -- who may open it ---------------------------------------------------------------------------------------------------
def test_another_secret_does_not_open_it(path: Path) -> None:
    with opened(path):
        pass
    with pytest.raises(VaultError, match="does not open"):
        Vault(path, Secret("key", bytes(32)))
    with pytest.raises(VaultError, match="sealed under a key, not a passphrase"):
        Vault(path, Secret.passphrase("x"))
    with opened(path):
        pass  # and nothing stayed locked


def test_a_passphrase(path: Path) -> None:
    with opened(path, Secret.passphrase("correct horse")) as vault:
        vault.commit([batch(("a", b"1", b"one"))])
    with pytest.raises(VaultError, match="the passphrase does not open"):
        Vault(path, Secret.passphrase("battery staple"))
    with opened(path, Secret.passphrase("correct horse")) as vault:
        assert vault.get("a", b"1") == b"one"


def test_one_process_at_a_time(path: Path) -> None:
    script = "import sys; from pathlib import Path; from clients.vault import *; " + (
        "Vault(Path(sys.argv[1]), Secret('key', bytes(range(32))))"
    )
    with opened(path):
        with pytest.raises(VaultError, match="open in another process"):
            Vault(path, KEY)
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "open in another process" in done.stderr
    with opened(path):
        pass


def test_a_newer_version_is_refused(path: Path) -> None:
    with opened(path):
        pass
    tamper(path, "UPDATE lockbox SET version = 2")
    with pytest.raises(VaultError, match="newer version"):
        Vault(path, KEY)


def test_what_stands_in_the_way_is_said(tmp_path: Path, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, but long enough to be looked at" * 30)
    with pytest.raises(VaultError, match="cannot be opened"):
        Vault(path, KEY)
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(VaultError, match="cannot be opened"):
        Vault(tmp_path / "folder.db", KEY)
    (tmp_path / "file").write_text("")
    with pytest.raises(VaultError, match="cannot be opened"):
        Vault(tmp_path / "file" / "vault.db", KEY)


def test_only_the_owner_may_read(path: Path) -> None:
    with opened(path) as vault:
        vault.commit([batch(("a", b"1", b"one"))])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes["vault.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


# -- key files ---------------------------------------------------------------------------------------------------------
def test_a_key_file_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vault.key"
    first = Secret.key_file(path, entropy_of("key"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Secret.key_file(path) == first
    assert [file.name for file in path.parent.iterdir()] == ["vault.key"]


def test_a_crash_while_a_key_file_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vault.key"

    def power_cut(descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", power_cut)
        with pytest.raises(KeyboardInterrupt):
            Secret.key_file(path)
    assert not path.exists()
    assert Secret.key_file(path).kind == "key"


@pytest.mark.parametrize("content", [b"", b"abcd", b"not hex", b"\xff\xfe", b"00" * 33])
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    with pytest.raises(VaultError, match="not a key file"):
        Secret.key_file(path)


def test_a_key_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(VaultError, match="cannot be read"):
        Secret.key_file(tmp_path / "folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(VaultError, match="cannot be read or made"):
        Secret.key_file(tmp_path / "file" / "vault.key")


def test_secrets_do_not_show(path: Path) -> None:
    key = Secret("key", MARKER)
    assert MARKER.decode() not in repr(key)
    assert MARKER.decode() not in repr(Secret.passphrase(MARKER.decode()))
    with opened(path) as vault:
        assert repr(vault) == f"Vault({path})"


# -- what a thief sees -------------------------------------------------------------------------------------------------
def test_nothing_is_in_clear(path: Path) -> None:
    with opened(path) as vault:
        vault.commit([batch(("contacts", TOPIC, MARKER), events=((1, TOPIC, MARKER), (2, OTHER, TOPIC)))])
        vault.commit([batch(("contacts", OTHER, OTHER * 3 + MARKER))])
        files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    files["after closing"] = path.read_bytes()
    assert len(files["after closing"]) > 4096
    for name, data in files.items():
        for secret in (MARKER, TOPIC, OTHER, KEY.value, TOPIC[:8], OTHER[:8]):
            assert secret not in data, name


SWAPS: dict[str, tuple[str, ...]] = {
    "a row's value for another's": (
        "UPDATE records SET value = (SELECT value FROM records WHERE place = 'b') WHERE place = 'a'",
    ),
    "a row in another table": ("UPDATE records SET place = 'a' WHERE place = 'b'",),
    "a bit": ("UPDATE records SET value = zeroblob(60)",),
    "a type": ("UPDATE records SET value = 7",),
}


@pytest.mark.parametrize("statements", SWAPS.values(), ids=SWAPS)
def test_a_changed_row_is_found(path: Path, statements: tuple[str, ...]) -> None:
    with opened(path) as vault:
        vault.commit([batch(("a", b"1", b"one"), ("b", b"2", b"two"))])
    tamper(path, *statements)
    with opened(path) as vault, pytest.raises(VaultError, match="tampered"):
        list(vault.scan("a"))


def test_a_name_of_another_row_is_found(path: Path) -> None:
    with opened(path) as vault:
        vault.commit([batch(("a", b"1", b"one"), ("a", b"2", b"two"))])
    names = "SELECT name FROM records ORDER BY name"
    tamper(
        path, f"CREATE TABLE t AS {names}", "UPDATE records SET name = x'00' WHERE name = (SELECT min(name) FROM t)",
        "UPDATE records SET name = (SELECT min(name) FROM t) WHERE name = (SELECT max(name) FROM t)",
        "UPDATE records SET name = (SELECT max(name) FROM t) WHERE name = x'00'", "DROP TABLE t",
    )  # fmt: skip
    with opened(path) as vault, pytest.raises(VaultError, match="tampered"):
        vault.get("a", b"1")


EVENT_SWAPS: dict[str, tuple[str, ...]] = {
    "numbers": ("UPDATE events SET seq = seq + 10",),
    "topics": ("UPDATE events SET topic = (SELECT topic FROM events WHERE seq = 2)",),
}


@pytest.mark.parametrize("statements", EVENT_SWAPS.values(), ids=EVENT_SWAPS)
def test_a_changed_event_is_found(path: Path, statements: tuple[str, ...]) -> None:
    with opened(path) as vault:
        vault.commit([batch(events=((1, TOPIC, b"one"), (2, OTHER, b"two")))])
    tamper(path, *statements)
    with opened(path) as vault:
        with pytest.raises(VaultError, match="tampered"):
            vault.events(0, 10)
        with pytest.raises(VaultError, match="tampered"):
            vault.recent(OTHER, 10)


def test_a_lockbox_that_is_gone(path: Path) -> None:
    with opened(path):
        pass
    tamper(path, "DELETE FROM lockbox")
    with pytest.raises(VaultError, match="tampered"):
        Vault(path, KEY)


# -- transactions ------------------------------------------------------------------------------------------------------
def test_a_commit_is_all_or_nothing(path: Path) -> None:
    with opened(path) as vault:
        vault.commit([batch(("a", b"1", b"one"), events=((1, TOPIC, b"one"),))])
        with pytest.raises(VaultError, match="cannot be written"):
            vault.commit([batch(("a", b"1", b"two"), ("a", b"2", b"x"), events=((1, TOPIC, b"again"),))])
        assert vault.get("a", b"1") == b"one"
        assert vault.get("a", b"2") is None
        vault.commit([batch(("a", b"1", b"three"))])
        assert vault.get("a", b"1") == b"three"


def test_a_table_that_is_gone_is_said(path: Path) -> None:
    with opened(path):
        pass
    tamper(path, "DROP TABLE records")
    with opened(path) as vault:
        with pytest.raises(VaultError, match="cannot be read"):
            vault.get("a", b"1")
        with pytest.raises(VaultError, match="cannot be written"):
            vault.commit([batch(("a", b"1", b"one"))])


def test_nobody_sees_a_transaction_under_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's reader runs beside the commit in another thread."""
    inside, go_on = threading.Event(), threading.Event()
    write: Callable[..., None] = Vault._write

    def stopping(self: Vault, *args: object) -> None:
        write(self, *args)
        inside.set()
        assert go_on.wait(10)

    with opened(path) as vault:
        monkeypatch.setattr(Vault, "_write", stopping)
        thread = threading.Thread(target=vault.commit, args=([batch(("a", b"1", b"x"), events=((1, TOPIC, b"x"),))],))
        thread.start()
        assert inside.wait(10)
        assert vault.events(0, 10) == []
        assert vault.last_seq() == 0
        assert vault.get("a", b"1") is None
        go_on.set()
        thread.join()
        assert vault.events(0, 10) == [(1, b"x")]


WRITER = """
import sys
from pathlib import Path
from clients.vault import Batch, Secret, Vault
vault = Vault(Path(sys.argv[1]), Secret("key", bytes(range(32))))
for number in range(1, 100_000):
    batch = Batch()
    batch.put("a", b"row", number.to_bytes(8, "big"))
    batch.put("b", number.to_bytes(8, "big"), bytes(500))
    batch.events.append((number, bytes(32), number.to_bytes(8, "big")))
    vault.commit([batch])
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_that_was_committed(path: Path) -> None:
    said = 0
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = int(line)
            if said == 40:
                process.send_signal(signal.SIGKILL)
    assert said >= 40
    with opened(path) as vault:
        last = vault.last_seq()
        assert last in (said, said + 1)
        assert [seq for seq, _ in vault.events(0, 10**6)] == list(range(1, last + 1))
        assert vault.get("a", b"row") == last.to_bytes(8, "big")
        assert len(list(vault.scan("b"))) == last


def test_the_version_is_the_first() -> None:
    assert module.SCHEMA_VERSION == 1
