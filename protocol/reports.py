"""Reports of encrypted messages: what a member reveals, how it is sealed to the operator, and how it is checked.

A report carries a message as its sender signed it (RFC 9420 section 6.1), with all that the signature covers and the
device list that ties the signing device to an account. It is sealed with HPKE (RFC 9180) to the operator's report key,
so the relay that hands it on learns who reports and about how much, not whom or what.

What the check shows: this account's device signed exactly these words, under this message id, in this epoch of this
topic. What it cannot show: where in the log the message stands and the relay's time (both are the reporter's word),
what the reporter left out, or that nobody else had the device in hand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from nacl import bindings as sodium

from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.errors import ChappeError, RemoteProtocolError
from protocol.frames import Key, MessageId, Signature, UInt
from protocol.identity import DeviceList, IdentityError, is_expired, open_signed, verify_list
from protocol.ids import Entropy, id_ms
from protocol.mls import MlsError, check_evidence, hpke
from protocol.mls.schedule import decode_group_context
from protocol.mls.suite import DEFAULT_SUITE, suite_of
from protocol.padding import pad_to
from protocol.position import authenticated_data
from protocol.requests import SignedList

_SEAL: Final = b"chappe/v1/report"
_PREFIX: Final = 4
VERSION: Final = 1


class ReportError(ChappeError):
    """A report that cannot be made or opened; the text says why."""


class Ground(IntEnum):
    """Why somebody reports a message."""

    SPAM = 1
    ABUSE = 2
    THREAT = 3
    SEXUAL = 4
    ILLEGAL = 5
    IMPERSONATION = 6
    OTHER = 7


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A revealed message: everything that its signature covers, and where the reporter says that it stood."""

    topic: Key
    generation: UInt
    offset: UInt
    ts: UInt  # by the relay's clock, as the reporter was told
    id: MessageId
    flags: UInt
    ttl: UInt
    header: Annotated[bytes, Meta(max_length=L.HEADER_BYTES_MAX)]
    group: UInt
    fence: UInt
    account: Key
    device: Key
    leaf: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    content: Annotated[bytes, Meta(max_length=L.CONTENT_BYTES_MAX)]
    padded: UInt  # size of the padded content, which is what was signed
    signature: Signature
    context: Annotated[bytes, Meta(max_length=L.EVIDENCE_CONTEXT_BYTES_MAX)]  # GroupContext of the epoch
    devices: Annotated[int, Meta(ge=0, le=L.REPORT_NEIGHBOURS_MAX)]  # which of the report's lists is the account's


class Report(msgspec.Struct, frozen=True, array_like=True):
    """The reported message first, then those that the reporter attached, and the device lists of their senders."""

    version: Annotated[int, Meta(ge=1, le=1000)]
    ground: UInt
    text: Annotated[str, Meta(max_length=L.REPORT_TEXT_CHARS_MAX)]
    made_ms: UInt  # by the reporter's clock
    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=1 + L.REPORT_NEIGHBOURS_MAX)]
    lists: Annotated[tuple[SignedList, ...], Meta(max_length=1 + L.REPORT_NEIGHBOURS_MAX)]


class _Outer(msgspec.Struct, frozen=True, array_like=True):
    key: Key  # for whom
    kem: Annotated[bytes, Meta(max_length=L.KEY_BYTES)]
    sealed: Annotated[bytes, Meta(max_length=L.REPORT_BYTES_MAX)]


# -- sealing -----------------------------------------------------------------------------------------------------------
def public_of(private: bytes) -> bytes:
    """The report key (X25519, 32 bytes) that belongs to the operator's private one."""
    return sodium.crypto_scalarmult_base(private)


def seal(report: Report, key: bytes, entropy: Entropy) -> bytes:
    """The report for the holder of ``key``, its size rounded up. Raises ``ReportError`` if it is too large."""
    data = encode_struct(report)
    size = -(-(len(data) + _PREFIX) // L.REPORT_PAD_BYTES) * L.REPORT_PAD_BYTES
    padded = len(data).to_bytes(_PREFIX, "big") + data + bytes(size - _PREFIX - len(data))
    try:
        kem, sealed = hpke.seal(suite_of(DEFAULT_SUITE), key, _SEAL, b"", padded, entropy(32))
    except MlsError as error:
        raise ReportError(f"the relay's report key is not a key that anything can be sealed to: {error}") from None
    blob = encode_struct(_Outer(key, kem, sealed))
    if len(blob) > L.REPORT_BYTES_MAX:
        raise ReportError(f"a report of {len(blob)} bytes; at most {L.REPORT_BYTES_MAX}: attach fewer messages")
    return blob


def unseal(blob: bytes, private: bytes) -> Report:
    """Open a report with the operator's private key. Raises ``ReportError``; nothing in it is checked yet."""
    try:
        outer = decode_struct(blob, _Outer)
        if outer.key != public_of(private):
            raise ReportError(f"it is sealed to another report key ({outer.key.hex()}); give that one's private key")
        padded = hpke.open_sealed(suite_of(DEFAULT_SUITE), outer.kem, private, _SEAL, b"", outer.sealed)
        length = int.from_bytes(padded[:_PREFIX], "big")
        report = decode_struct(padded[_PREFIX : _PREFIX + length], Report)
    except (RemoteProtocolError, MlsError) as error:
        raise ReportError(f"it is no report that this version can open: {error}") from None
    if report.version != VERSION:
        raise ReportError(f"it has version {report.version}; this program knows version {VERSION}: update it")
    return report


# -- checking ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Finding:
    """What one revealed message is worth. ``why`` is empty where it is verified; ``notes`` are for people."""

    item: Item
    why: str
    notes: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether the account's device said exactly this."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a report is worth: of the reported message, then of each that was attached."""

    findings: tuple[Finding, ...]

    @property
    def verified(self) -> bool:
        """Whether everything in it is genuine."""
        return not self.why

    @property
    def why(self) -> str:
        """Why it is not; empty if it is."""
        first, *others = self.findings
        if first.why:
            return first.why
        bad = [str(number) for number, finding in enumerate(others, 1) if finding.why]
        return f"the message is genuine, but not what was attached to it ({', '.join(bad)})" if bad else ""

    @property
    def said_ms(self) -> int:
        """When the message was made, by the clock of its sender; signed."""
        return id_ms(self.findings[0].item.id)


def check(report: Report, vouched: Collection[bytes] = ()) -> Verdict:
    """Check every message of a report offline. ``vouched``: signed device lists that the operator's relay has.

    Only accounts that were recovered need one: the key that signs their lists was committed in a list of long ago,
    which the relay has checked and a report does not carry.
    """
    topic = report.items[0].topic
    findings = []
    for item in report.items:
        try:
            notes = _check(item, report.lists, vouched)
            why = "" if item.topic == topic else "it is of another conversation than the reported message"
            findings.append(Finding(item, why, notes))
        except (ReportError, IdentityError, RemoteProtocolError) as error:
            findings.append(Finding(item, str(error)))
    return Verdict(tuple(findings))


def _check(item: Item, lists: tuple[bytes, ...], vouched: Collection[bytes]) -> tuple[str, ...]:
    if item.devices >= len(lists):
        raise ReportError("the device list of its sender is missing")
    devices = verify_list(lists[item.devices], account=item.account)
    if devices.recovered and not _is_vouched(devices, vouched):
        raise ReportError(
            "its sender's account was recovered, so its device list proves nothing without the list that your relay "
            "has: `chappe admin devices`, then --list"
        )
    if devices.device(item.device) is None:
        raise ReportError("the device that is said to have signed it is not on the account's device list")
    bound = authenticated_data(item.topic, item.id, item.flags, item.ttl, item.header, item.group, item.fence)
    _check_conversation(item)
    try:
        check_evidence(
            plaintext=pad_to(item.content, item.padded), authenticated_data=bound, sender_leaf=item.leaf,
            context=item.context, signature=item.signature, signature_key=item.device,
        )  # fmt: skip
    except (MlsError, ValueError):
        raise ReportError(
            "the device did not sign this: words, message id, place in the group or group context are not those of "
            "the signature"
        ) from None
    return _notes(item, devices)


def _check_conversation(item: Item) -> None:
    try:
        group_id = decode_group_context(item.context).group_id
    except MlsError:
        raise ReportError("the group context cannot be read") from None
    if group_id != item.topic + item.group.to_bytes(8, "big"):
        raise ReportError("the group context is that of another conversation")


def _is_vouched(devices: DeviceList, vouched: Collection[bytes]) -> bool:
    known = (open_signed(signed) for signed in vouched)
    return any(
        own.account == devices.account and own.recovered and own.recovery == devices.recovery for own in known
    )  # fmt: skip


def _notes(item: Item, devices: DeviceList) -> tuple[str, ...]:
    notes = []
    if abs(item.ts - id_ms(item.id)) > L.CLOCK_SKEW_MS_MAX:
        notes.append("the time by the relay and the time by the sender's clock are more than a day apart")
    if is_expired(devices, id_ms(item.id)):
        notes.append("the sender's device list had run out when this was said")
    return tuple(notes)
