"""What bookkeeping software reads of our money: ISO 20022 messages, written and never read. Pure.

camt.053.001.08 (a statement of an account), pain.013.001.08 (a request to pay) and pain.014.001.08 (its answer). Tests
hold them against the published schemas. Accounts have no IBAN and no text of 34 characters holds a key, so an account
is named by the first 32 hex digits of its key, under the scheme ``CHAPPE``; its owner's name is the whole key. Only
currencies of three letters have a place in these messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Xml

from protocol.errors import ChappeError
from protocol.messages.pay import Request
from protocol.money import format_amount

_SPACE: Final = "urn:iso:std:iso:20022:tech:xsd:"
CAMT_053: Final = "camt.053.001.08"
PAIN_013: Final = "pain.013.001.08"
PAIN_014: Final = "pain.014.001.08"
SCHEME: Final = "CHAPPE"
# Domain PMNT: family and sub-family of the list of bank transaction codes, by kind of entry and direction.
_CODES: Final = {"issue": ("CNTR", "CDPT"), "redeem": ("CNTR", "CWDL")}
_DAY_MS: Final = 86_400_000


class NotExpressible(ChappeError):
    """Something that these messages have no place for; the text says what."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an account: positive came, negative went; minor units and Unix ms. ``other``: whose account else."""

    sequence: int
    at_ms: int
    kind: str
    amount: int
    other: bytes
    operation: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it travelled: id and hash of the message, when it came, and its body."""

    id: bytes
    hash: bytes
    made_ms: int
    body: Request


# -- small things ------------------------------------------------------------------------------------------------------
def day_of(unix_ms: int) -> str:
    """The day (UTC) of a time, as 2026-11-23; from 1970 on."""
    days = unix_ms // _DAY_MS
    year = 1970
    while days >= 365 + _is_leap(year):
        days -= 365 + _is_leap(year)
        year += 1
    month = 1
    while days >= _month_days(year, month):
        days -= _month_days(year, month)
        month += 1
    return f"{year:04}-{month:02}-{days + 1:02}"


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _month_days(year: int, month: int) -> int:
    return 28 + _is_leap(year) if month == 2 else 30 + (month + month // 8) % 2


def time_of(unix_ms: int) -> str:
    """A time (UTC) as 2026-11-23T11:38:37Z."""
    seconds = unix_ms % _DAY_MS // 1000
    return f"{day_of(unix_ms)}T{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}Z"


def _text(value: str, most: int) -> str:
    """Text of people as XML may hold it, shortened."""
    kept = "".join(c if c.isprintable() and c not in "\ufffe\uffff" else " " for c in value)
    return kept.encode("utf-8", "replace").decode()[:most]


def _add(parent: Xml.Element, path: str, text: str = "") -> Xml.Element:
    """The element at a path of new names below ``parent``."""
    for name in path.split("/"):
        parent = Xml.SubElement(parent, name)
    if text:
        parent.text = text
    return parent


def _amount(parent: Xml.Element, name: str, amount: int, exponent: int, ledger: str) -> None:
    element = _add(parent, name, format_amount(abs(amount), exponent))
    element.set("Ccy", ledger)


def _account(parent: Xml.Element, key: bytes) -> None:
    other = _add(parent, "Id/Othr")
    _add(other, "Id", key.hex()[:32])
    _add(other, "SchmeNm/Prtry", SCHEME)


def _agent(parent: Xml.Element, name: str, worker: bytes) -> None:
    _add(parent, f"{name}/FinInstnId/Othr/Id", worker.hex()[:32])


def _check(ledger: str, exponent: int) -> None:
    if len(ledger) != 3 or not ledger.isupper() or exponent > 5:
        raise NotExpressible(f"{ledger} is no currency of ISO 4217, and these messages hold no other")


def _root(message: str, name: str) -> tuple[Xml.Element, Xml.Element]:
    document = Xml.Element("Document", {"xmlns": _SPACE + message})
    return document, _add(document, name)


def _bytes(document: Xml.Element) -> bytes:
    Xml.indent(document)
    made: bytes = Xml.tostring(document, encoding="utf-8", xml_declaration=True)
    return made + b"\n"


# -- statements --------------------------------------------------------------------------------------------------------
def statement(
    account: bytes, ledger: str, exponent: int, opening: int, lines: Sequence[Line], *, id_: str, since_ms: int,
    now_ms: int,
) -> bytes:  # fmt: skip
    """camt.053: opening balance + entries = closing balance, from ``since_ms`` to ``now_ms``. ``id_``: of the message.

    What is merely held or released moves nothing and is left out. Raises ``NotExpressible``.
    """
    _check(ledger, exponent)
    moved = [line for line in lines if line.amount]
    document, message = _root(CAMT_053, "BkToCstmrStmt")
    _add(message, "GrpHdr/MsgId", id_[:35])
    _add(message[0], "CreDtTm", time_of(now_ms))
    made = _add(message, "Stmt")
    _add(made, "Id", id_[:35])
    _add(made, "CreDtTm", time_of(now_ms))
    _add(made, "FrToDt/FrDtTm", time_of(since_ms))
    _add(made[-1], "ToDtTm", time_of(now_ms))
    named = _add(made, "Acct")
    _account(named, account)
    _add(named, "Ccy", ledger)
    _add(named, "Ownr/Nm", account.hex())
    closing = opening + sum(line.amount for line in moved)
    for code, balance, at_ms in (("OPBD", opening, since_ms), ("CLBD", closing, now_ms)):
        element = _add(made, "Bal")
        _add(element, "Tp/CdOrPrtry/Cd", code)
        _amount(element, "Amt", balance, exponent, ledger)
        _add(element, "CdtDbtInd", "DBIT" if balance < 0 else "CRDT")
        _add(element, "Dt/Dt", day_of(at_ms))
    for line in moved:
        _entry(made, line, ledger, exponent)
    return _bytes(document)


def _entry(made: Xml.Element, line: Line, ledger: str, exponent: int) -> None:
    way = "CRDT" if line.amount > 0 else "DBIT"
    entry = _add(made, "Ntry")
    _add(entry, "NtryRef", str(line.sequence))
    _amount(entry, "Amt", line.amount, exponent, ledger)
    _add(entry, "CdtDbtInd", way)
    _add(entry, "Sts/Cd", "BOOK")
    _add(entry, "BookgDt/DtTm", time_of(line.at_ms))
    _add(entry, "ValDt/Dt", day_of(line.at_ms))
    _add(entry, "AcctSvcrRef", str(line.sequence))
    family, sub_family = _CODES.get(line.kind, ("RCDT" if line.amount > 0 else "ICDT", "BOOK"))
    codes = _add(entry, "BkTxCd")
    domain = _add(codes, "Domn")
    _add(domain, "Cd", "PMNT")
    families = _add(domain, "Fmly")
    _add(families, "Cd", family)
    _add(families, "SubFmlyCd", sub_family)
    own = _add(codes, "Prtry")
    _add(own, "Cd", line.kind)
    _add(own, "Issr", SCHEME)
    details = _add(entry, "NtryDtls/TxDtls")
    references = _add(details, "Refs")
    _add(references, "AcctSvcrRef", str(line.sequence))
    _add(references, "EndToEndId", line.operation[:16].hex() or "NOTPROVIDED")
    _amount(details, "Amt", line.amount, exponent, ledger)
    _add(details, "CdtDbtInd", way)
    role = "Dbtr" if line.amount > 0 else "Cdtr"
    parties = _add(details, "RltdPties")
    _add(parties, f"{role}/Pty/Nm", line.other.hex())
    _account(_add(parties, f"{role}Acct"), line.other)
    _add(entry, "AddtlNtryInf", f"operation {line.operation.hex()}")


# -- requests to pay ---------------------------------------------------------------------------------------------------
def request_to_pay(asked: Asked) -> bytes:
    """pain.013: a request for money. Raises ``NotExpressible`` for one that names no amount."""
    body, id_ = asked.body, asked.id.hex()
    _check(body.ledger, body.exponent)
    if not body.amount:
        raise NotExpressible("a request that leaves the amount to the payer has no place in a pain.013")
    document, message = _root(PAIN_013, "CdtrPmtActvtnReq")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", id_)
    _add(header, "CreDtTm", time_of(asked.made_ms))
    _add(header, "NbOfTxs", "1")
    _add(header, "CtrlSum", format_amount(body.amount, body.exponent))
    _add(header, "InitgPty/Nm", body.payee.hex())
    made = _add(message, "PmtInf")
    _add(made, "PmtInfId", asked.hash.hex()[:32])
    _add(made, "PmtMtd", "TRF")
    _add(made, "ReqdExctnDt/Dt", day_of(body.due_ms or body.expires_ms))
    _add(made, "XpryDt/DtTm", time_of(body.expires_ms))
    conditions = _add(made, "PmtCond")
    _add(conditions, "AmtModAllwd", "true" if body.least or body.most else "false")
    _add(conditions, "EarlyPmtAllwd", "true")
    _add(conditions, "GrntedPmtReqd", "false")
    _add(made, "Dbtr/Nm", body.payer.hex() or "NOTPROVIDED")
    if body.payer:
        _account(_add(made, "DbtrAcct"), body.payer)
    _agent(made, "DbtrAgt", body.worker)
    transfer = _add(made, "CdtTrfTx")
    _add(transfer, "PmtId/EndToEndId", id_)
    _amount(_add(transfer, "Amt"), "InstdAmt", body.amount, body.exponent, body.ledger)
    _add(transfer, "ChrgBr", "SLEV")
    _agent(transfer, "CdtrAgt", body.worker)
    _add(transfer, "Cdtr/Nm", body.payee.hex())
    _account(_add(transfer, "CdtrAcct"), body.payee)
    words = [body.memo] if body.memo else []
    words += [f"{format_amount(i.amount, body.exponent, body.ledger)} {i.name}" for i in body.items]
    if words:
        remittance = _add(transfer, "RmtInf")
        for line in words:
            _add(remittance, "Ustrd", _text(line, 140) or "-")
    return _bytes(document)


# A request's state in our words → transaction status of ISO 20022, and why.
_ANSWERS: Final = {
    "open": ("PDNG", ""), "paid": ("ACSC", ""), "declined": ("RJCT", "DECLINED"), "cancelled": ("CANC", "WITHDRAWN"),
}  # fmt: skip


def answer(asked: Asked, state: str, *, id_: str, now_ms: int, sequence: int = 0, why: str = "") -> bytes:
    """pain.014: what became of a request. ``state``: open, paid, declined or cancelled; ``sequence``: of the record.

    Raises ``NotExpressible``, ``KeyError`` for another state.
    """
    body = asked.body
    _check(body.ledger, body.exponent)
    status, reason = _ANSWERS[state]
    document, message = _root(PAIN_014, "CdtrPmtActvtnReqStsRpt")
    header = _add(message, "GrpHdr")
    _add(header, "MsgId", id_[:35])
    _add(header, "CreDtTm", time_of(now_ms))
    _add(header, "InitgPty/Nm", body.payer.hex() or "NOTPROVIDED")
    group = _add(message, "OrgnlGrpInfAndSts")
    _add(group, "OrgnlMsgId", asked.id.hex())
    _add(group, "OrgnlMsgNmId", PAIN_013)
    _add(group, "OrgnlCreDtTm", time_of(asked.made_ms))
    original = _add(message, "OrgnlPmtInfAndSts")
    _add(original, "OrgnlPmtInfId", asked.hash.hex()[:32])
    transaction = _add(original, "TxInfAndSts")
    _add(transaction, "OrgnlEndToEndId", asked.id.hex())
    _add(transaction, "TxSts", status)
    if reason:
        information = _add(transaction, "StsRsnInf")
        _add(information, "Rsn/Prtry", reason)
        if why:
            _add(information, "AddtlInf", _text(why, 105))
    if sequence:
        _add(transaction, "AcctSvcrRef", str(sequence))
    return _bytes(document)
