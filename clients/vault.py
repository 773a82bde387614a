"""The vault: one SQLite file that holds everything a client knows, sealed, and safe against a crash at any moment.

Every value is sealed with XChaCha20-Poly1305 under a random data key, bound to its table and row; row names are HMACs,
so the file does not show who talks to whom. The data key is sealed under a passphrase (Argon2id) or a key file. What a
thief of the file learns: how many rows there are, how large, and when they were written.

Rule 1.  One process at a time: the file is locked for as long as it is open.
Rule 2.  ``commit`` is one transaction, durable when it returns (WAL, ``synchronous=FULL``).
Rule 3.  What is read was committed: reads have a connection of their own, which sees no transaction that is under way.
Rule 4.  A vault knows tables, rows and events, never what they mean.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from protocol.errors import ChappeError
from protocol.ids import Entropy

SCHEMA_VERSION: Final = 1
_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
# Argon2id "interactive" of libsodium: 64 MiB, ~0.1 s. A chat client opens its vault at every start.
_OPS: Final = sodium.crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE
_MEM: Final = sodium.crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE
_SCHEMA: Final = """
-- how the data key is sealed: readable before anything else is
CREATE TABLE lockbox (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, kind TEXT, salt BLOB, sealed BLOB);
-- current state: a row is replaced when what it describes changes
CREATE TABLE records (place TEXT, name BLOB, value BLOB, PRIMARY KEY (place, name)) WITHOUT ROWID;
-- what happened, in the order in which the application is told
CREATE TABLE events (seq INTEGER PRIMARY KEY, topic BLOB, value BLOB);
CREATE INDEX events_by_topic ON events (topic, seq);
"""


_PIECES: Final = (64, 16, 4, 1)  # rows of one statement: few different texts, which SQLite keeps prepared
_encrypt: Final = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt


class VaultError(ChappeError):
    """The vault cannot be opened or written; the text says what to do."""


@dataclass(slots=True)
class Batch:
    """Writes of one transaction. A later write to the same row replaces an earlier one."""

    records: dict[tuple[str, bytes], bytes | None] = field(default_factory=dict)  # None deletes
    events: list[tuple[int, bytes, bytes]] = field(default_factory=list)  # (seq, topic, value)

    def put(self, place: str, name: bytes, value: bytes | None) -> None:
        """Set a row, or delete it (None)."""
        self.records[place, name] = value

    def __bool__(self) -> bool:
        return bool(self.records or self.events)


@dataclass(frozen=True, slots=True)
class Secret:
    """What opens a vault: a passphrase, or the 32 bytes of a key file. Never shown."""

    kind: str  # "passphrase" or "key"
    value: bytes = field(repr=False)

    @classmethod
    def passphrase(cls, text: str) -> Secret:
        """A passphrase as typed."""
        return cls("passphrase", text.encode())

    @classmethod
    def key_file(cls, path: Path, entropy: Entropy = os.urandom) -> Secret:
        """The key in ``path`` (64 hex digits); made there, readable by the owner only, if missing."""
        try:
            if not path.exists():
                _write_key(path, entropy(32))
            key = bytes.fromhex(path.read_text().strip())
        except OSError as error:
            raise VaultError(f"the key file {path} cannot be read or made: {error.strerror}") from None
        except ValueError:
            key = b""
        if len(key) != 32:
            raise VaultError(f"{path} is not a key file (64 hex digits); put the right one there")
        return cls("key", key)

    def derive(self, salt: bytes) -> bytes:
        """The 32-byte key that seals the data key."""
        if self.kind == "key":
            return hashlib.blake2b(salt, key=self.value, digest_size=32, person=b"chappe-vault-key").digest()
        return sodium.crypto_pwhash_alg(32, self.value, salt, _OPS, _MEM, sodium.crypto_pwhash_ALG_ARGON2ID13)


class Vault:
    """An open vault. Methods block on the disk: call them from a worker thread (``Journal`` does)."""

    def __init__(self, path: Path, secret: Secret, *, entropy: Entropy = os.urandom) -> None:
        """Open or create the vault. Raises ``VaultError``: wrong secret, in use, newer version, unwritable."""
        self.path = path
        self._entropy = entropy
        self._read_lock = threading.Lock()
        with ExitStack() as undo:
            try:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                undo.callback(os.close, self._take_lock(path))
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # nobody else's to read, sealed or not
                self._db = self._connect(undo)
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._seal_key, self._name_key = self._open_lockbox(secret)
                self._reader = self._connect(undo)
                self._reader.execute("PRAGMA query_only=ON")
            except (sqlite3.Error, OSError) as error:
                raise VaultError(f"the vault {path} cannot be opened: {error}") from error
            self._opened_files = undo.pop_all()

    def _connect(self, undo: ExitStack) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        undo.callback(connection.close)
        return connection

    _SHARED: ClassVar = False  # whether several processes may have it open

    @classmethod
    def _take_lock(cls, path: Path) -> int:
        mode = fcntl.LOCK_SH if cls._SHARED else fcntl.LOCK_EX
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise VaultError(f"{path} is open in another process; close that one first") from None
        return descriptor

    def _open_lockbox(self, secret: Secret) -> tuple[bytes, bytes]:
        known = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lockbox'").fetchone()
        if known is None:
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            salt, data_key = self._entropy(16), self._entropy(32)
            sealed = self._seal(secret.derive(salt), data_key, b"lockbox")
            self._db.execute("INSERT INTO lockbox VALUES (1, ?, ?, ?, ?)", (SCHEMA_VERSION, secret.kind, salt, sealed))
            self._db.execute("COMMIT")
        else:
            row = self._db.execute("SELECT version, kind, salt, sealed FROM lockbox").fetchone()
            if row is None:
                raise VaultError(f"{self.path} was damaged or tampered with; restore it from a copy")
            version, kind, salt, sealed = row
            if version > SCHEMA_VERSION:
                raise VaultError(f"{self.path} was written by a newer version of chappe; update this one")
            if kind != secret.kind:
                raise VaultError(f"{self.path} is sealed under a {kind}, not a {secret.kind}")
            try:
                data_key = self._open(secret.derive(salt), sealed, b"lockbox")
            except CryptoError:
                raise VaultError(f"the {kind} does not open {self.path}") from None
        derive = [hashlib.blake2b(label, key=data_key, digest_size=32).digest() for label in (b"seal", b"name")]
        return derive[0], derive[1]

    # -- sealing -------------------------------------------------------------------------------------------------------
    def _seal(self, key: bytes, data: bytes, bound: bytes) -> bytes:
        nonce = self._entropy(_NONCE)
        return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(data, bound, nonce, key)

    @staticmethod
    def _open(key: bytes, sealed: bytes, bound: bytes) -> bytes:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed[_NONCE:], bound, sealed[:_NONCE], key)

    def _name(self, place: str, name: bytes) -> bytes:
        return hmac.digest(self._name_key, place.encode() + b"\0" + name, "sha256")[:16]

    # -- reading -------------------------------------------------------------------------------------------------------
    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What a query finds. Reads of several threads take turns."""
        with self._read_lock:
            try:
                return self._reader.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise VaultError(f"{self.path} cannot be read ({error}); restore it from a copy") from error

    def get(self, place: str, name: bytes) -> bytes | None:
        """One row. Raises ``VaultError`` if it was tampered with."""
        tag = self._name(place, name)
        rows = self._rows("SELECT value FROM records WHERE place = ? AND name = ?", place, tag)
        return self._opened(rows[0][0], place.encode() + tag) if rows else None

    def scan(self, place: str) -> Iterator[bytes]:
        """All rows of a table, in no particular order."""
        for tag, value in self._rows("SELECT name, value FROM records WHERE place = ?", place):
            yield self._opened(value, place.encode() + tag)

    def events(self, after: int, limit: int, topic: bytes | None = None) -> list[tuple[int, bytes]]:
        """(seq, value) of events after ``after``, oldest first; of one topic only if given."""
        if topic is None:
            query = "SELECT seq, topic, value FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = self._rows(query, after, limit)
        else:
            query = "SELECT seq, topic, value FROM events WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?"
            rows = self._rows(query, self._name("events", topic), after, limit)
        return [(seq, self._opened(value, _event_bound(seq, tag))) for seq, tag, value in rows]

    def recent(self, topic: bytes, limit: int) -> list[tuple[int, bytes]]:
        """The last events of a topic, oldest first."""
        query = "SELECT seq, topic, value FROM events WHERE topic = ? ORDER BY seq DESC LIMIT ?"
        rows = self._rows(query, self._name("events", topic), limit)
        return [(seq, self._opened(value, _event_bound(seq, tag))) for seq, tag, value in reversed(rows)]

    def last_seq(self) -> int:
        """Number of the newest event; 0 if there is none."""
        return int(self._rows("SELECT coalesce(max(seq), 0) FROM events")[0][0])

    def _opened(self, value: bytes, bound: bytes) -> bytes:
        try:
            return self._open(self._seal_key, value, bound)
        except (CryptoError, TypeError):
            raise VaultError(f"{self.path} was damaged or tampered with; restore it from a copy") from None

    # -- writing -------------------------------------------------------------------------------------------------------
    def commit(self, batches: Sequence[Batch]) -> None:
        """Write all of it in one transaction; durable on return. Raises ``VaultError``; then nothing was written."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._guard(self._db, batches)
                for batch in batches:
                    self._write(batch.records.items(), batch.events)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise VaultError(f"{self.path} cannot be written ({error}); free disk space and start again") from error

    def _guard(self, db: sqlite3.Connection, batches: Sequence[Batch]) -> None:
        """Called first in the transaction; what it raises undoes it. For vaults that several processes write."""

    def _write(
        self, records: Collection[tuple[tuple[str, bytes], bytes | None]], events: Sequence[tuple[int, bytes, bytes]]
    ) -> None:
        kept = [(place, self._name(place, name), value) for (place, name), value in records if value is not None]
        nonces = self._entropy(_NONCE * (len(kept) + len(events)))
        rows = []
        for number, (place, tag, value) in enumerate(kept):
            nonce = nonces[_NONCE * number : _NONCE * (number + 1)]
            rows.append((place, tag, nonce + _encrypt(value, place.encode() + tag, nonce, self._seal_key)))
        self._execute("INSERT OR REPLACE INTO records VALUES {}", "(?, ?, ?)", ", ", rows)
        gone = [(place, self._name(place, name)) for (place, name), value in records if value is None]
        self._execute("DELETE FROM records WHERE {}", "(place = ? AND name = ?)", " OR ", gone)
        told = []
        for number, (seq, topic, value) in enumerate(events, len(kept)):
            nonce, tag = nonces[_NONCE * number : _NONCE * (number + 1)], self._name("events", topic)
            told.append((seq, tag, nonce + _encrypt(value, _event_bound(seq, tag), nonce, self._seal_key)))
        self._execute("INSERT INTO events VALUES {}", "(?, ?, ?)", ", ", told)

    def _execute(self, text: str, one: str, between: str, rows: Sequence[tuple[object, ...]]) -> None:
        """One statement for many rows: after each the thread must get the interpreter back from whoever computes."""
        place = 0
        for size in _PIECES:
            while len(rows) - place >= size:
                values = list(chain.from_iterable(rows[place : place + size]))
                self._db.execute(text.format(between.join([one] * size)), values)
                place += size

    def close(self) -> None:
        """Close the file and release the lock."""
        self._opened_files.close()

    def __repr__(self) -> str:
        return f"Vault({self.path})"


def _event_bound(seq: int, tag: bytes) -> bytes:
    return b"events" + seq.to_bytes(8, "big") + tag


def _write_key(path: Path, key: bytes) -> None:
    """A new key file, whole or not at all: a vault whose key file is cut short could never be opened again."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
