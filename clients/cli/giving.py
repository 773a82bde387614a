"""Verbs about money and several people: red packets and bills. ``money`` offers them with its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from clients.cli.room import NotFound, Room, clean, short
from clients.conversations import Conversation
from clients.wallet import Wallet
from clients.wallet.pots import Packet
from protocol.messages.pay import State
from protocol.packets import shares_of

HELP: Final = """
[bold]/split[/] AMOUNT CUR NAME[:WEIGHT]… [for MEMO]   ask each for their part of a bill; `me` if you take one too
[bold]/packet[/] TO AMOUNT CUR SHARES [even] [MEMO]   a red packet for a group or a contact
[bold]/claim[/] [PACKET]   the packets that you may take a share of; take it"""
_DIGITS_MIN: Final = 4
_EVEN: Final = "even"


class Said(Protocol):
    """What was said about payments, so that news do not say it again; ``acting``: verbs that are not done."""

    acting: int
    told: dict[bytes, int]


class Giving:
    """Verbs, by name."""

    def __init__(self, room: Room, said: Said) -> None:
        self._room = room
        self._said = said
        self._client = room.client
        self.verbs: dict[str, Callable[[list[str]], Awaitable[list[str]]]] = {
            "split": self._split, "packet": self._packet, "claim": self._claim
        }  # fmt: skip

    @property
    def _book(self) -> Wallet:
        return self._client.wallet

    # -- bills ---------------------------------------------------------------------------------------------------------
    async def _split(self, words: list[str]) -> list[str]:
        ledger, names = words[1], words[2:]
        memo = ""
        if "for" in names:
            at = names.index("for")
            names, memo = names[:at], " ".join(names[at + 1 :])
        weights = dict(self._weight(name) for name in names or [words[2]])
        bill = await self._book.split(weights, self._book.amount(words[0], ledger), ledger, memo=memo)
        lines = []
        for part in bill.parts:
            shown = self._book.shown(part.amount, ledger)
            asked = f"asked: {short(part.request)}" if part.request else "nothing to ask"
            lines.append(f"  {shown}  {self._room.name_of(part.member)}  {asked}")
        return lines

    def _weight(self, word: str) -> tuple[bytes, int]:
        name, _, weight = word.partition(":")
        account = self._client.account if name == "me" else self._room.account_of(name)
        return account, int(weight or 1)

    # -- red packets ---------------------------------------------------------------------------------------------------
    async def _packet(self, words: list[str]) -> list[str]:
        words, is_sure = sure(words)
        ledger, count, memo = words[2], int(words[3]), words[4:]
        is_even = memo[:1] == [_EVEN]
        talk = await self._talk(words[0])
        members = sorted(talk.in_group())
        if len(members) == 2:  # a chat: it is for the other one
            members.remove(self._client.account)
        amount = self._book.amount(words[1], ledger)
        if not is_sure:
            how = "even" if is_even else "random"
            what = f"this sets {self._book.shown(amount, ledger)} aside, {count} {how} shares for {len(members)} people"
            return [f"{what}; what nobody takes in a day comes back. To do it: /packet {' '.join(words)} yes"]
        text = " ".join(memo[is_even:])
        paid = await self._book.give(talk.topic, members, amount, ledger, count, random=not is_even, memo=text)
        if paid.state == State.HELD:
            return [f"given: {short(paid.request)}; they can /claim it"]
        return [f"{State(paid.state).name.lower()}: {paid.text or 'not heard yet; /payments again asks'}"]

    async def _talk(self, name: str) -> Conversation:
        try:
            return self._room.conversation_of(name)
        except NotFound:
            return await self._client.pair(self._room.account_of(name))

    async def _claim(self, words: list[str]) -> list[str]:
        found = [packet for packet in self._book.packets if not packet.over]
        if not words:
            return [self.line(packet) for packet in found] or ["no red packets wait"]
        digits = words[0]
        found = [p for p in self._book.packets if len(digits) >= _DIGITS_MIN and p.hash.hex().startswith(digits)]
        if len(found) != 1:
            raise NotFound(f"{len(found)} red packets begin with {digits!r}; /claim shows them")
        self._said.acting += 1
        try:
            got = await self._book.claim(found[0].hash)
        finally:
            self._said.acting -= 1
        self._said.told[got.operation] = got.state
        if got.state == State.SETTLED:
            return [f"you got {self._book.shown(got.amount, got.ledger, got.exponent)}", *self._judged(found[0])]
        return [f"{State(got.state).name.lower()}: {got.text or 'not heard yet; /claim again is the same claim'}"]

    def line(self, packet: Packet) -> str:
        """A packet in a line."""
        terms = packet.terms
        amount = self._book.shown(terms.amount, terms.ledger, terms.exponent)
        who = "you give" if packet.payer == self._client.account else f"{self._room.name_of(packet.payer)} gives"
        return f"  {short(packet.hash)}  {who} {amount} in {terms.shares} shares  {clean(packet.memo)}".rstrip()

    def _judged(self, packet: Packet) -> list[str]:
        if not packet.over:
            return []
        if packet.verdict != "fair":
            return [f"DO NOT TRUST this packet: {packet.verdict}"] * bool(packet.verdict)
        return [f"it is over, and what everybody got is what the seed says: {_parts(packet)} minor units"]


def _parts(packet: Packet) -> str:
    return " + ".join(str(share) for share in shares_of(packet.terms, packet.seed if packet.terms.commitment else b""))


def sure(words: list[str]) -> tuple[list[str], bool]:
    """The words without the confirmation, and whether it was there."""
    return (words[:-1], True) if words[-1:] == ["yes"] else (words, False)
