"""What a client keeps so that a message can be reported later: its signature, and what the signature covers.

Rule 1.  Kept are the last ``EVIDENCE_MESSAGES_MAX`` messages of others in each conversation, for ``EVIDENCE_LIFE_MS``;
         older evidence is deleted, and with it the means to prove to an outsider who said what.
Rule 2.  The sender's device list is kept as it was when the message came: a device that is taken off it afterwards is
         still answerable for what it said.
Rule 3.  The words themselves are in the event; a row here names it.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from clients import records as R
from clients.shelf import Shelf
from protocol import limits as L
from protocol.frames import Msg
from protocol.identity import open_signed
from protocol.mls import Opened


class _Known(NamedTuple):
    """What is in memory of a row."""

    number: int
    offset: int
    account: bytes
    version: int
    kept_ms: int


@dataclass(slots=True)
class _Index:
    """The rows of a conversation, oldest first, and how many of them need each (account, version) of a list."""

    rows: deque[_Known] = field(default_factory=deque)
    lists: Counter[tuple[bytes, int]] = field(default_factory=Counter)

    def add(self, row: R.Evidence) -> None:
        self.rows.append(_Known(row.number, row.offset, row.account, row.version, row.kept_ms))
        self.lists[row.account, row.version] += 1


class Evidence:
    """Evidence of all conversations. An index in memory is read from the vault when a conversation is first used."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.keeps = True  # False: nothing is kept, since this client keeps no events to prove either
        self._indices: dict[bytes, _Index] = {}

    # -- keeping -------------------------------------------------------------------------------------------------------
    def keep(self, talk: R.Conversation, msg: Msg, opened: Opened, seq: int) -> None:
        """Keep what proves a message of somebody else that was told as event ``seq``."""
        if not self.keeps:
            return
        index = self._index(talk)
        version = self._keep_list(index, talk.topic, msg.account)
        row = R.Evidence(
            number=talk.kept_next, seq=seq, offset=msg.offset, generation=talk.generation, flags=msg.flags,
            ttl=msg.ttl, header=msg.header, group=talk.group, fence=msg.fence, leaf=opened.sender.leaf,
            padded=len(opened.plaintext), signature=opened.signature, context=opened.context, account=msg.account,
            version=version, kept_ms=self._shelf.clock_ms(),
        )  # fmt: skip
        talk.kept_next += 1
        index.add(row)
        self._shelf.journal.put(R.EVIDENCE, _name(talk.topic, row.number), row)
        self._trim(talk, index)
        self._shelf.save(talk)

    def _keep_list(self, index: _Index, topic: bytes, account: bytes) -> int:
        """Keep the sender's present device list beside the evidence; its version, 0 if none is known."""
        signed = self._shelf.signed_list(account)
        if signed is None:
            return 0
        known = self._shelf.lists.get(account)
        version = known.version if known is not None else open_signed(signed).version
        if not index.lists[account, version]:
            self._shelf.journal.put(R.EVIDENCE_LISTS, _list_name(topic, account, version), signed)
        return version

    def _trim(self, talk: R.Conversation, index: _Index) -> None:
        before_ms = self._shelf.clock_ms() - L.EVIDENCE_LIFE_MS
        while index.rows and (len(index.rows) > L.EVIDENCE_MESSAGES_MAX or index.rows[0].kept_ms < before_ms):
            gone = index.rows.popleft()
            index.lists[gone.account, gone.version] -= 1
            self._shelf.journal.put(R.EVIDENCE, _name(talk.topic, gone.number), None)
            talk.kept_first = gone.number + 1
            if not index.lists[gone.account, gone.version]:
                del index.lists[gone.account, gone.version]
                name = _list_name(talk.topic, gone.account, gone.version)
                self._shelf.journal.put(R.EVIDENCE_LISTS, name, None)

    def expire(self) -> None:
        """Delete what is too old, in conversations where nothing is said any more too."""
        before_ms = self._shelf.clock_ms() - L.EVIDENCE_LIFE_MS
        for talk in self._shelf.conversations.values():
            if talk.kept_first == talk.kept_next:
                continue
            oldest = None if talk.topic in self._indices else self._row(talk.topic, talk.kept_first)
            if oldest is None or oldest.kept_ms < before_ms:
                self._trim(talk, self._index(talk))
                self._shelf.save(talk)

    # -- finding -------------------------------------------------------------------------------------------------------
    def find(self, talk: R.Conversation, offset: int) -> R.Evidence | None:
        """The evidence of the message at an offset; None: there is none, or not any more. What was noted is durable."""
        number = next((item.number for item in self._index(talk).rows if item.offset == offset), None)
        return None if number is None else self._row(talk.topic, number)

    def before(self, talk: R.Conversation, offset: int, count: int) -> list[int]:
        """Offsets of the last ``count`` messages before one that can be proved, oldest first."""
        found = [item.offset for item in self._index(talk).rows if item.offset < offset]
        return found[len(found) - min(count, len(found)) :]

    def list_of(self, topic: bytes, row: R.Evidence) -> bytes | None:
        """The sender's signed device list as it was when the message came."""
        return self._shelf.vault.get(R.EVIDENCE_LISTS, _list_name(topic, row.account, row.version))

    def _index(self, talk: R.Conversation) -> _Index:
        found = self._indices.get(talk.topic)
        if found is None:  # nothing was kept here since the start, so everything noted is in the vault
            found = self._indices[talk.topic] = _Index()
            for number in range(talk.kept_first, talk.kept_next):
                row = self._row(talk.topic, number)
                if row is not None:
                    found.add(row)
        return found

    def _row(self, topic: bytes, number: int) -> R.Evidence | None:
        value = self._shelf.vault.get(R.EVIDENCE, _name(topic, number))
        return None if value is None else msgspec.msgpack.decode(value, type=R.Evidence)


def _name(topic: bytes, number: int) -> bytes:
    return topic + number.to_bytes(8, "big")


def _list_name(topic: bytes, account: bytes, version: int) -> bytes:
    return topic + account + version.to_bytes(8, "big")
