"""Reporting a message to the operator of the relay: what is revealed is chosen here, and sealed to the operator's key.

A report proves to the operator who said the reported words, and reveals no key and no other message than those named.
It cannot be taken back, and for these messages nobody can deny any more that they said them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from clients import records as R
from clients.connection import Link, LinkDown
from clients.directory import Directory
from clients.events import Received, decode_event
from clients.evidence import Evidence
from clients.shelf import Shelf
from protocol import limits as L
from protocol.errors import ChappeError
from protocol.identity import open_signed
from protocol.reports import VERSION, Ground, Item, Report, seal
from protocol.requests import GetReportKey, PostReport


class CannotReport(ChappeError):
    """A message that cannot be reported; the text says why."""


class Reporter:
    """Makes and posts reports of one client."""

    def __init__(
        self, shelf: Shelf, evidence: Evidence, directory: Directory, connected: Callable[[], Awaitable[Link]]
    ) -> None:
        self._shelf = shelf
        self._evidence = evidence
        self._directory = directory
        self._connected = connected

    async def report(
        self, topic: bytes, offset: int, ground: Ground = Ground.OTHER, text: str = "", attach: Sequence[int] = ()
    ) -> int:  # fmt: skip
        """Report the message at an offset; the number that the relay gives the report.

        ``attach``: offsets of messages that explain it; they are revealed too. Raises ``CannotReport``, ``KeyError``
        for an unknown conversation, ``protocol.reports.ReportError`` if it is too large, and ``Refusal``: the relay
        takes no reports (404), or not now (429, 507).
        """
        key = await (await self._connected()).ask("reports.key", GetReportKey(), bytes)
        report = await self.make(topic, offset, ground, text, attach)
        sealed = seal(report, key, self._shelf.entropy)
        while True:  # the same bytes keep their number, so they may be posted again
            try:
                return await (await self._connected()).ask("reports.post", PostReport(key, sealed), int)
            except LinkDown as error:
                if error.final:
                    raise

    async def make(self, topic: bytes, offset: int, ground: Ground, text: str, attach: Sequence[int] = ()) -> Report:
        """The report, not sealed yet. Raises as ``report``."""
        if len(text) > L.REPORT_TEXT_CHARS_MAX:
            raise CannotReport(f"what you say about it has {len(text)} characters; at most {L.REPORT_TEXT_CHARS_MAX}")
        others = sorted(set(attach) - {offset})
        if len(others) > L.REPORT_NEIGHBOURS_MAX:
            raise CannotReport(f"at most {L.REPORT_NEIGHBOURS_MAX} messages can be attached")
        talk = self._shelf.conversations[topic]
        await self._shelf.journal.flushed()
        lists: list[bytes] = []
        items = [await self._item(talk, at, lists) for at in (offset, *others)]
        return Report(VERSION, int(ground), text, self._shelf.clock_ms(), tuple(items), tuple(lists))

    def before(self, topic: bytes, offset: int, count: int) -> list[int]:
        """Offsets of the last messages of others before one, to attach: at most ``count``, oldest first."""
        return self._evidence.before(self._shelf.conversations[topic], offset, count)

    async def _item(self, talk: R.Conversation, offset: int, lists: list[bytes]) -> Item:
        row = self._evidence.find(talk, offset)
        if row is None:
            raise CannotReport(
                f"there is no evidence of message {offset}: it is your own, from before this device was here, older "
                f"than {L.EVIDENCE_LIFE_MS // 86_400_000} days, or not among the last {L.EVIDENCE_MESSAGES_MAX}"
            )
        event = await self._event(row)
        signed = await self._list(talk.topic, row, event.device)
        if signed not in lists:
            lists.append(signed)
        return Item(
            talk.topic, row.generation, offset, event.ts, event.id, row.flags, row.ttl, row.header, row.group,
            row.fence, event.account, event.device, row.leaf, event.content, row.padded, row.signature, row.context,
            lists.index(signed),
        )  # fmt: skip

    async def _event(self, row: R.Evidence) -> Received:
        ((seq, value),) = await trio.to_thread.run_sync(self._shelf.vault.events, row.seq - 1, 1)
        event = decode_event(value, seq)
        if not isinstance(event, Received):
            raise CannotReport(f"the vault has another event than message {row.offset} at its place")
        return event

    async def _list(self, topic: bytes, row: R.Evidence, device: bytes) -> bytes:
        """A signed list that names the device: as it was then, as we know it now, as the relay has it."""
        for signed in (self._evidence.list_of(topic, row), self._shelf.signed_list(row.account)):
            if signed is not None and open_signed(signed).device(device) is not None:
                return signed
        await self._directory.fetch(await self._connected(), [row.account])
        signed = self._shelf.signed_list(row.account)
        if signed is None or open_signed(signed).device(device) is None:
            raise CannotReport("its sender's device is on no device list, so nobody could tell whose it is")
        return signed
