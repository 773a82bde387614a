"""Everything that a vault knows, as files that people and programs can read. No secret is among them.

A takeout is a directory, or one ``.zip``: ``README.txt`` says what is in it. It appears whole or not at all. Keys go,
if somebody wants them, into one more file that a passphrase seals.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

from clients import records as R
from clients.events import AnyEvent, Changed, Joined, Missing, Received, Removed, decode_event
from clients.records import Status
from clients.shelf import Shelf
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.identity import open_signed
from protocol.ids import Entropy, TopicKind
from protocol.messages import Unknown, parse
from protocol.messages.chat import Media

KEYS_FILE: Final = "keys.sealed"
_MAGIC: Final = b"chappe-keys-1\n"
_SALT: Final = 16  # crypto_pwhash_argon2id_SALTBYTES
_NONCE: Final = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
# Argon2id "moderate" of libsodium: 256 MiB, about a second. The file may lie about for years, and is opened once.
_OPS: Final = sodium.crypto_pwhash_argon2id_OPSLIMIT_MODERATE
_MEM: Final = sodium.crypto_pwhash_argon2id_MEMLIMIT_MODERATE
_SECRET: Final = frozenset({"key", "chunks", "token", "thumbnail"})  # fields of bodies that open or are worth nothing
_EVENTS: Final = 1000  # read at once
Row = dict[str, Any]
README: Final = """\
This is everything that a device of a Chappe account knew, made on {when}.

profile.json           the account, its handle, its devices
contacts.jsonl         a contact a line: the name that you gave, whether you compared safety numbers
blocked.jsonl          an account a line
conversations.jsonl    a conversation a line; "file" names where its messages are
messages/*.jsonl       what happened in a conversation, in order, an event a line; "ts" is Unix time in milliseconds
files.jsonl            a file a line that somebody sent: name, size, SHA-256. The files themselves are not here: save
                       them with `chappe chat`, /save

Each line of a .jsonl file is one JSON object. Accounts, devices, topics and message ids are hexadecimal.
What other people said is theirs: think before you pass it on. {keys}
"""
NO_KEYS: Final = "No key is in here: nobody can speak in your name with it."
WITH_KEYS: Final = "keys.sealed holds the keys of the account and this device under your passphrase (Argon2id)."


class TakeoutError(ChappeError):
    """It cannot be written or opened; the text says why."""


# -- what goes in ------------------------------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__ if name not in _SECRET}
    return value


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def profile(shelf: Shelf) -> Row:
    """Who the account is."""
    listed = open_signed(shelf.identity.signed_list)
    mine = shelf.device.public
    return {
        "account": shelf.account.hex(), "handle": shelf.identity.handle, "device_list_version": listed.version,
        "devices": [
            {"device": d.key.hex(), "holds_root_key": d.primary, "this_one": d.key == mine} for d in listed.devices
        ],
    }  # fmt: skip


def contacts(shelf: Shelf) -> Iterator[Row]:
    """A row for each contact."""
    for contact in sorted(shelf.contacts.values(), key=lambda contact: contact.name):
        yield {
            "account": contact.account.hex(), "name": contact.name, "verified": contact.verified,
            "keys_changed": contact.changed,
        }  # fmt: skip


def conversations(shelf: Shelf) -> Iterator[tuple[R.Conversation, Row]]:
    """Each conversation with the row that describes it."""
    talks = [talk for talk in shelf.conversations.values() if talk.kind != TopicKind.SELF]
    for number, talk in enumerate(sorted(talks, key=lambda talk: talk.topic), 1):
        peer = shelf.peer_of(talk)
        contact = None if peer is None else shelf.contacts.get(peer)
        title = talk.title or (contact.name if contact is not None else "")
        name = re.sub(r"[^\w-]+", "-", title).strip("-")[:40]
        yield talk, {
            "topic": talk.topic.hex(), "kind": TopicKind(talk.kind).name.lower(), "title": title,
            "status": Status(talk.status).name.lower(),
            "members": {account.hex(): role for account, role in sorted(talk.roster.items())},
            "read_to": shelf.reads.get(talk.topic, (0, 0))[1], "muted": shelf.is_muted(talk.topic),
            "file": f"messages/{number:04}{'-' * bool(name)}{name}.jsonl",
        }  # fmt: skip


def message(event: AnyEvent, account: bytes) -> Row | None:
    """An event as a row; None for those that only mattered while they happened."""
    if isinstance(event, Received):
        row: Row = {
            "event": "message", "offset": event.offset, "id": event.id.hex(), "from": event.account.hex(),
            "mine": event.account == account, "ts": event.ts, "time": _when(event.ts),
        }  # fmt: skip
        try:
            parsed = parse(event.content)
        except RemoteProtocolError as error:
            return {**row, "unreadable": error.text}
        row["type"] = parsed.content.t
        for name in ("re", "rp"):
            part = getattr(parsed.content, name)
            if part is not None:
                row[name] = part.hex() if isinstance(part, bytes) else part.id.hex()
        row["body"] = {"raw": parsed.body.raw.hex()} if isinstance(parsed.body, Unknown) else _plain(parsed.body)
        return row
    if isinstance(event, Joined | Changed | Removed | Missing):
        row = {"event": type(event).__name__.lower()}
        row.update({name: _plain(getattr(event, name)) for name in event.__struct_fields__ if name not in _PLACE})
        return row
    return None


_PLACE: Final = frozenset({"topic", "seq"})


def _events(shelf: Shelf, topic: bytes) -> Iterator[AnyEvent]:
    after = 0
    while rows := shelf.vault.events(after, _EVENTS, topic):
        after = rows[-1][0]
        yield from (decode_event(value, seq) for seq, value in rows)


# -- writing -----------------------------------------------------------------------------------------------------------
def export(
    shelf: Shelf, target: Path, now_ms: int, *, passphrase: str | None = None, entropy: Entropy = os.urandom
) -> dict[str, int]:
    """Write a takeout to ``target`` (a new directory, or a new ``.zip``); how many of what are in it.

    ``passphrase``: seal the keys under it, too. Blocks on the disk. Raises ``TakeoutError``.
    """
    if target.exists():
        raise TakeoutError(f"{target} exists already; name another place")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".chappe-takeout-", dir=target.parent) as temporary:
            home = Path(temporary) / "takeout"
            home.mkdir(mode=0o700)
            counts = _write_all(shelf, home, now_ms, passphrase, entropy)
            if target.suffix == ".zip":
                packed = Path(temporary) / "takeout.zip"
                _zip(home, packed)
                packed.rename(target)
            else:
                home.rename(target)
    except OSError as error:
        raise TakeoutError(f"{target} cannot be written: {error.strerror or error}") from None
    return counts


def _write_all(shelf: Shelf, home: Path, now_ms: int, passphrase: str | None, entropy: Entropy) -> dict[str, int]:
    counts = {"contacts": _lines(home / "contacts.jsonl", contacts(shelf))}
    counts["blocked"] = _lines(home / "blocked.jsonl", ({"account": a.hex()} for a in sorted(shelf.blocked)))
    counts |= {"conversations": 0, "messages": 0, "files": 0}
    (home / "messages").mkdir()
    (home / "profile.json").write_text(json.dumps(profile(shelf), indent=1, ensure_ascii=False) + "\n")
    with (home / "conversations.jsonl").open("w") as talks, (home / "files.jsonl").open("w") as files:
        for talk, row in conversations(shelf):
            counts["conversations"] += 1
            rows = [found for event in _events(shelf, talk.topic) if (found := message(event, shelf.account))]
            _lines(home / row["file"], rows)
            messages = [found for found in rows if found["event"] == "message"]
            sent = [found for found in messages if found.get("type") == Media.TYPE]
            counts["messages"] += len(messages)
            counts["files"] += len(sent)
            talks.write(_line({**row, "messages": len(messages)}))
            for found in sent:
                part = {name: found[name] for name in ("from", "ts", "time", "id")}
                files.write(_line({"topic": talk.topic.hex(), **part, **found["body"]}))
    keys = NO_KEYS
    if passphrase is not None:
        keys = WITH_KEYS
        (home / KEYS_FILE).write_bytes(seal_keys(shelf.identity, passphrase, entropy))
    (home / "README.txt").write_text(README.format(when=_when(now_ms), keys=keys))
    return counts


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _lines(path: Path, rows: Iterable[Row]) -> int:
    lines = [_line(row) for row in rows]
    path.write_text("".join(lines))
    return len(lines)


def _zip(home: Path, packed: Path) -> None:
    descriptor = os.open(packed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(home.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(home))
    shutil.rmtree(home)


# -- keys --------------------------------------------------------------------------------------------------------------
def seal_keys(identity: R.Identity, passphrase: str, entropy: Entropy) -> bytes:
    """The keys of an account and its device as JSON, sealed under a passphrase."""
    secrets = {
        "account": identity.account, "root_seed": identity.root_seed, "recovery_seed": identity.recovery_seed,
        "device_seed": identity.device_seed, "inbox_private": identity.inbox_private,
    }  # fmt: skip
    plain = json.dumps({name: None if value is None else value.hex() for name, value in secrets.items()}).encode()
    salt, nonce = entropy(_SALT), entropy(_NONCE)
    head = _MAGIC + salt + nonce
    return head + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, head, nonce, _derive(passphrase, salt))


def open_keys(sealed: bytes, passphrase: str) -> dict[str, str | None]:
    """What ``seal_keys`` sealed, by name, in hexadecimal. Raises ``TakeoutError``."""
    head, rest = sealed[: len(_MAGIC) + _SALT + _NONCE], sealed[len(_MAGIC) + _SALT + _NONCE :]
    if not head.startswith(_MAGIC) or not rest:
        raise TakeoutError("this is no file of sealed keys")
    key = _derive(passphrase, head[len(_MAGIC) : len(_MAGIC) + _SALT])
    try:
        plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(rest, head, head[-_NONCE:], key)
    except CryptoError:
        raise TakeoutError("the passphrase does not open the keys, or the file was damaged") from None
    result: dict[str, str | None] = json.loads(plain)
    return result


def _derive(passphrase: str, salt: bytes) -> bytes:
    return sodium.crypto_pwhash_alg(
        32, passphrase.encode(), salt, _OPS, _MEM, sodium.crypto_pwhash_ALG_ARGON2ID13
    )  # fmt: skip
