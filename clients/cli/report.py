"""``chappe report``: the operator's side of reports. Everything here works offline, with the private report key."""

from __future__ import annotations

import json as json_module
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from protocol.reports import Finding, Report, Verdict

command = App(name="report", help="For operators: open reports of encrypted messages, and tell genuine from doctored.")
key = App(name="key", help="The key pair that reports are sealed to. Keep the private one off the relay's machine.")
command.command(key)

VERIFIED, NOT_VERIFIED, EXIT_REFUSED = 0, 1, 2
DEFAULT_KEY = Path("~/.local/share/chappe/report.key")
KeyFile = Annotated[Path, Parameter(name="--key", help="File of the private report key.")]


def _say(text: str) -> int:
    print(f"chappe report: {text}", file=sys.stderr)
    return EXIT_REFUSED


# -- keys --------------------------------------------------------------------------------------------------------------
@key.command
def init(*, file: KeyFile = DEFAULT_KEY) -> int:
    """Make a key pair: the private key goes to the file (0600), the public one is printed for the relay's settings."""
    path = file.expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _say(f"{path} is there already; `chappe report key show` prints its public key")
    except OSError as error:
        return _say(f"{path} cannot be made: {error.strerror}")
    with os.fdopen(descriptor, "w") as out:
        out.write(os.urandom(32).hex() + "\n")
        out.flush()
        os.fsync(out.fileno())
    print(f"the private key is in {path}: keep a copy, and keep it off the relay's machine", file=sys.stderr)
    return show(file=path)


@key.command
def show(*, file: KeyFile = DEFAULT_KEY) -> int:
    """Print the public key as a line of the relay's settings."""
    from protocol.reports import public_of

    private = _private(file)
    if isinstance(private, str):
        return _say(private)
    print(f'report_key = "{public_of(private).hex()}"')
    return 0


def _private(file: Path) -> bytes | str:
    """The key in a file; or why there is none."""
    path = file.expanduser()
    try:
        value = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); make a key with `chappe report key init`, or name it: --key"
    except ValueError:
        value = b""
    return value if len(value) == 32 else f"{path} is no private report key (64 hex digits)"


# -- reports -----------------------------------------------------------------------------------------------------------
@command.command
def verify(
    file: Annotated[Path, Parameter(help="A report, as `chappe admin reports fetch` wrote it.")],
    *,
    key_file: KeyFile = DEFAULT_KEY,
    account_list: Annotated[
        Path | None, Parameter(name="--list", help="Output of `chappe admin devices`, where it is asked for.")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:  # fmt: skip
    """Open a report and check it. Exit code 0: verified; 1: not verified; 2: it cannot be opened."""
    from protocol.errors import ChappeError
    from protocol.reports import check, unseal

    private = _private(key_file)
    if isinstance(private, str):
        return _say(private)
    try:
        case = _case(file.read_bytes())
        vouched = [] if account_list is None else [bytes.fromhex(account_list.read_text(encoding="ascii").strip())]
        report = unseal(case.pop("sealed"), private)
        verdict = check(report, vouched)
    except OSError as error:
        return _say(f"{error.filename} cannot be read: {error.strerror}")
    except (ChappeError, ValueError) as error:
        return _say(f"{file} cannot be opened: {error}")
    if json:
        print(json_module.dumps(_as_json(report, verdict, case)))
    else:
        print("\n".join(_lines(report, verdict, case)))
    return VERIFIED if verdict.verified else NOT_VERIFIED


def _case(data: bytes) -> dict[str, Any]:
    """What the relay says about a report, and its sealed bytes. Raises ``ValueError``."""
    fetched = json_module.loads(data)
    if not isinstance(fetched, dict) or not isinstance(fetched.get("sealed"), str):
        raise ValueError("it is not what `chappe admin reports fetch` writes")
    case = {"number": int(fetched.get("number", 0)), "made_ms": int(fetched.get("made_ms", 0))}
    return {**case, "account": str(fetched.get("account", "")), "sealed": bytes.fromhex(fetched["sealed"])}


def _ground(report: Report) -> str:
    from protocol.reports import Ground

    known = {ground.value: ground.name.lower() for ground in Ground}
    return known.get(report.ground, f"reason {report.ground}")


def _as_json(report: Report, verdict: Verdict, case: dict[str, Any]) -> dict[str, Any]:
    return {
        "verified": verdict.verified, "why": verdict.why, "reason": _ground(report), "text": report.text,
        "made_ms": report.made_ms, "number": case["number"], "posted_by": case["account"],
        "posted_ms": case["made_ms"], "messages": [_message(finding) for finding in verdict.findings],
    }  # fmt: skip


def _message(finding: Finding) -> dict[str, Any]:
    from clients.cli.room import describe
    from protocol.ids import id_ms

    item = finding.item
    return {
        "verified": finding.verified, "why": finding.why, "notes": list(finding.notes), "topic": item.topic.hex(),
        "offset": item.offset, "id": item.id.hex(), "account": item.account.hex(), "device": item.device.hex(),
        "said_ms": id_ms(item.id), "relay_ms": item.ts, **describe(item.content),
    }  # fmt: skip


def _when(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def _quoted(text: str | None) -> list[str]:
    """Text of others, line by line behind a bar, so that none of it can pass for a line of ours."""
    from clients.cli.room import clean

    return [f"    | {line}" for line in clean(text or "").split("\n")]


def _lines(report: Report, verdict: Verdict, case: dict[str, Any]) -> list[str]:
    from clients.cli.room import clean

    posted = f"by account {clean(case['account'])}, {_when(case['made_ms'])} (the relay says)"
    lines = ["VERIFIED" if verdict.verified else f"NOT VERIFIED: {clean(verdict.why)}"]
    lines.append(f"report {case['number']} for {_ground(report)}, {posted}")
    lines += _quoted(report.text) if report.text else []
    for number, finding in enumerate(verdict.findings):
        lines += _shown(finding, f"attached {number}" if number else "reported")
    return lines


def _shown(finding: Finding, name: str) -> list[str]:
    shown = _message(finding)
    mark = "verified" if finding.verified else f"NOT VERIFIED: {finding.why}"
    lines = [
        f"{name}: message {shown['offset']} of topic {shown['topic']}: {mark}",
        f"  id {shown['id']}",
        f"  by account {shown['account']}",
        f"     device  {shown['device']}",
        f"  at {_when(shown['said_ms'])} by the sender's clock (signed)",
        f"     {_when(shown['relay_ms'])} by the relay's clock, and its place: as the reporter passed them on",
    ]
    return [*lines, *(f"  note: {note}" for note in finding.notes), f"  {shown['type']}:", *_quoted(shown["text"])]
