"""``chappe admin``: what an operator does to a running relay, through its ops port and the token in its directory."""

from __future__ import annotations

import json as json_module
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

command = App(name="admin", help="Look after a running relay: who is there, bans, bounds, invitations, retention.")
EXIT_REFUSED = 2

Data = Annotated[Path, Parameter(help="Data directory of the relay, as for `chappe up`.")]
Ops = Annotated[str | None, Parameter(help="Address of its ops port, where DATA/ops.url is not it.")]
Json = Annotated[bool, Parameter(negative="", help="Print one JSON object.")]
Subject = Annotated[
    str, Parameter(help="A handle, account:HEX, device:HEX, or address:192.0.2.7 (also a network, 192.0.2.0/24).")
]
DATA = Path("chappe-data")


def _run(verb: str, data: Path, ops: str | None, arguments: dict[str, Any], json: bool) -> dict[str, Any] | int:
    """The answer, or the exit code where it was printed already."""
    from relay.ops_client import OpsUnreachable, find

    try:
        answer = find(data, ops).admin(verb, arguments)
    except OpsUnreachable as error:
        print(f"chappe admin {verb}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if json:
        print(json_module.dumps(answer))
        return 0
    return answer


def _when(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _until(ms: int) -> str:
    return f"until {_when(ms)}" if ms else "for good"


def _safe(text: str) -> str:
    """Text that somebody else wrote, harmless to a terminal."""
    from relay.log import render

    return render(text)


@command.command
def who(subject: str = "", *, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """List open connections: of one subject, or all."""
    answer = _run("who", data, ops, {"subject": subject}, json)
    if isinstance(answer, int):
        return answer
    for item in answer["connections"]:
        name = f"account:{item['account']} device:{item['device']}" if item["registered"] else "(not registered)"
        print(
            f"{name} from {_safe(item['address'])} since {_when(item['since_ms'])} · {item['subscriptions']} "
            f"subscriptions, {item['backlog']} behind, {item['inflight']} messages and {item['requests']} requests "
            f"wait, {item['buffered_bytes']} bytes unread"
        )
    print(f"{answer['count']} open")
    return 0


@command.command
def kick(subject: Subject, *, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """End the connections of a subject. They may come back."""
    answer = _run("kick", data, ops, {"subject": subject}, json)
    if isinstance(answer, int):
        return answer
    print(f"{answer['kicked']} connections of {answer['subject']} were ended")
    return 0


@command.command
def ban(
    subject: Subject,
    *,
    days: Annotated[float, Parameter(help="How long; 0: for good.")] = 0,
    reason: Annotated[str, Parameter(help="For you and other operators; the banned are not told.")] = "",
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """End the connections of a subject at once, and refuse it from now on."""
    answer = _run("ban", data, ops, {"subject": subject, "days": days, "reason": reason}, json)
    if isinstance(answer, int):
        return answer
    print(f"{answer['subject']} is banned {_until(answer['until_ms'])}; {answer['kicked']} connections ended")
    return 0


@command.command
def unban(subject: Subject, *, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """Lift a ban."""
    answer = _run("unban", data, ops, {"subject": subject}, json)
    if isinstance(answer, int):
        return answer
    print(f"{answer['subject']} may come back")
    return 0


@command.command
def bans(*, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """List bans in force."""
    answer = _run("bans", data, ops, {}, json)
    if isinstance(answer, int):
        return answer
    for item in answer["bans"]:
        until = _until(item["until_ms"])
        print(f"{item['subject']} since {_when(item['made_ms'])} {until} reason={_safe(item['reason'])}")
    print(f"{len(answer['bans'])} bans")
    return 0


@command.command
def quota(
    subject: str = "",
    name: str = "",
    value: Annotated[str, Parameter(help="A number, or `default`: the setting holds again.")] = "",
    *,
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """Show bounds: all defaults, or those of an account; or give the account one of its own."""
    arguments: dict[str, Any] = {"subject": subject, "name": name}
    if name and not value.isdecimal() and value != "default":
        print(f"chappe admin quota: write a number for {name}, or `default`", file=sys.stderr)
        return EXIT_REFUSED
    if value.isdecimal():
        arguments["value"] = int(value)
    answer = _run("quota", data, ops, arguments, json)
    if isinstance(answer, int):
        return answer
    if subject:
        for key, bound in answer["bounds"].items():
            print(f"{key} = {bound}{'  # of its own' if key in answer['own'] else ''}")
        return 0
    for key, bound in answer["defaults"].items():
        print(f"{key} = {bound}")
    for item in answer["own"]:
        print(f"account:{item['account']} {item['name']} = {item['value']}")
    return 0


@command.command
def retention(
    *,
    days: Annotated[float | None, Parameter(help="Remove what is older; without it: as the settings say.")] = None,
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """Remove old messages and unused blobs now, and say how much that freed."""
    answer = _run("retention", data, ops, {"days": days}, json)
    if isinstance(answer, int):
        return answer
    print(
        f"{answer['bytes_freed']} bytes freed: {answer['entries']} messages of {answer['bytes']} bytes, "
        f"{answer['blobs']} blobs of {answer['blob_bytes']} bytes"
    )
    return 0


@command.command
def invite(
    *,
    uses: Annotated[int, Parameter(help="Accounts that may register with it.")] = 1,
    days: Annotated[float, Parameter(help="How long it can be used.")] = 7,
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """Make an invitation and print it: it is not kept, so it cannot be printed again."""
    answer = _run("invite", data, ops, {"uses": uses, "days": days}, json)
    if isinstance(answer, int):
        return answer
    print(answer["invite"])
    print(f"for {answer['uses']} accounts until {_when(answer['until_ms'])}", file=sys.stderr)
    if not answer["needed"]:
        print("note: this relay registers without an invitation as it is set up now", file=sys.stderr)
    return 0


@command.command
def devices(subject: str, *, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """Print the signed device list of an account as the relay has it: for `chappe report verify --list`."""
    answer = _run("devices", data, ops, {"subject": subject}, json)
    if isinstance(answer, int):
        return answer
    print(answer["signed"])
    return 0


@command.command
def entry(topic: str, offset: int, *, data: Data = DATA, ops: Ops = None, json: Json = False) -> int:
    """Print what the relay knows of an entry: that a reported message stood there, from whom, and when."""
    answer = _run("entry", data, ops, {"topic": topic, "offset": offset}, json)
    if isinstance(answer, int):
        return answer
    print(f"id {answer['id']} by account:{answer['account']} device:{answer['device']} at {_when(answer['relay_ms'])}")
    return 0


reports = App(name="reports", help="What people have reported, sealed; `chappe report verify` opens and judges it.")
command.command(reports)


@reports.default
def list_reports(
    *,
    closed: Annotated[bool, Parameter(negative="", help="Those that were closed.")] = False,
    after: Annotated[int, Parameter(help="Only those with higher numbers.")] = 0,
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """List reports that wait, oldest first."""
    answer = _run("reports", data, ops, {"closed": closed, "after": after}, json)
    if isinstance(answer, int):
        return answer
    for item in answer["reports"]:
        done = f" closed {_when(item['closed_ms'])} note={_safe(item['note'])}" if item["closed_ms"] else ""
        print(f"{item['number']} of {_when(item['made_ms'])} by account:{item['account']}, {item['size']} bytes{done}")
    print(f"{answer['waiting']} wait")
    return 0


@reports.command
def fetch(
    number: int,
    out: Annotated[Path | None, Parameter(help="File to write; without it: to standard output.")] = None,
    *,
    data: Data = DATA, ops: Ops = None,
) -> int:  # fmt: skip
    """Fetch a report, still sealed, for `chappe report verify`."""
    answer = _run("report-fetch", data, ops, {"number": number}, json=False)
    if isinstance(answer, int):
        return answer
    text = json_module.dumps(answer) + "\n"
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="ascii")
        print(f"{out}: now `chappe report verify {out}`, where your private report key is")
    return 0


@reports.command
def close(
    number: int,
    note: Annotated[str, Parameter(help="What was done; kept with the report.")] = "",
    *,
    data: Data = DATA, ops: Ops = None, json: Json = False,
) -> int:  # fmt: skip
    """Note that a report was dealt with; it is kept until its place is needed."""
    answer = _run("report-close", data, ops, {"number": number, "note": note}, json)
    if isinstance(answer, int):
        return answer
    print(f"report {answer['number']} is closed; {answer['waiting']} wait")
    return 0
