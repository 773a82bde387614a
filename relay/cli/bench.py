"""``chappe bench``: how fast is a relay, seen from here?"""

from __future__ import annotations

import json as json_module
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from relay.bench.figures import Figures
    from relay.bench.run import Report, Wanted

command = App(name="bench", help="Measure a relay: fan-out, one to one, stored messages, catch-up, a connect storm.")
EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
_BUSY = 0.9


@command.default
def bench(
    *loads: Annotated[str, Parameter(help="Which: fan-out, one-to-one, stored, catch-up, connect-storm; all if none.")],
    url: Annotated[
        str | None, Parameter(help="Address of a relay (wss://…/ws); without it a private one on this machine.")
    ] = None,
    connections: Annotated[int, Parameter(help="Connections of each measurement, 2 to 900.")] = 50,
    seconds: Annotated[float, Parameter(help="Length of each measurement, at most 300.")] = 5.0,
    window: Annotated[int, Parameter(help="Messages under way of each publisher, 1 to 512.")] = 16,
    bytes: Annotated[int, Parameter(help="Size of a message's body.")] = 300,
    stored: Annotated[int, Parameter(help="Messages that a catch-up reads.")] = 2000,
    invite: Annotated[str | None, Parameter(help="An invitation, where the relay asks for one.")] = None,
    insecure: Annotated[bool, Parameter(negative="", help="Do not check the relay's certificate.")] = False,
    json: Annotated[bool, Parameter(negative="", help="Print one line of JSON for each measurement.")] = False,
) -> int:
    """Load a relay with accounts made for this run, and print rates and percentiles.

    A given relay keeps those accounts and the messages stored. Exit code 1: the relay failed or refused; 2: the options
    cannot be used.
    """
    import trio

    from relay.bench.loads import LOADS
    from relay.bench.run import Wanted, first
    from relay.bench.run import bench as run
    from relay.bench.wire import BenchFailed

    chosen = loads or tuple(LOADS)
    try:
        token = None if invite is None else _token(invite)
        wanted = Wanted(chosen, connections, seconds, window, bytes, stored, token, insecure)
        wanted.check()
        if url is not None:
            wanted.options(url)
    except (BenchFailed, ValueError) as error:
        print(f"chappe bench: {error}", file=sys.stderr)
        return EXIT_REFUSED
    code = 0
    try:
        with _progress(wanted, is_shown=not json and sys.stderr.isatty()) as report:
            trio.run(run, wanted, url, report, _print_json if json else _print)
    except* BenchFailed as failed:
        print(f"chappe bench: {first(failed)}", file=sys.stderr)
        code = EXIT_FAILED
    except* KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    return code


def _token(invite: str) -> bytes:
    try:
        return bytes.fromhex(invite)
    except ValueError:
        raise ValueError("--invite is the invitation as the operator printed it: hexadecimal digits") from None


def _progress(wanted: Wanted, *, is_shown: bool) -> AbstractContextManager[Report]:
    """A bar for each measurement on stderr."""
    if not is_shown:
        return nullcontext(lambda name, share: None)
    from relay.bench.progress import bars

    return bars(wanted.loads)


def _print_json(figures: Figures) -> None:
    print(json_module.dumps(figures.as_json()), flush=True)


def _print(figures: Figures) -> None:
    """Figures and their histogram."""
    from relay.bench.figures import plot

    later = f" · {figures.refused:,} put off by the relay" if figures.refused else ""
    took = f"({figures.count:,} in {figures.seconds:.1f} s){later}"
    print(f"{figures.name}: {figures.per_s:,.0f} {figures.what}/s {took}")
    shares = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
    print(f"  {figures.latency_of}: {' · '.join(f'{name} {figures.at(share):.2f} ms' for name, share in shares)}")
    for line in plot(figures):
        print(f"  {line}")
    if figures.busy > _BUSY:
        print("  this program was computing nearly all the time: the relay can do more than it could ask for")
    sys.stdout.flush()
