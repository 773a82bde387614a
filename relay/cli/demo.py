"""``chappe demo``: the main job, shown on real processes, with a summary that one can check."""

from __future__ import annotations

import json as json_module
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from relay.demo.story import Story

command = App(name="demo", help="Watch a relay and five people at work: encrypted, in order, through a kill -9.")


@command.default
def demo(
    *,
    json: Annotated[bool, Parameter(negative="", help="Print the summary as one line of JSON.")] = False,
    keep: Annotated[
        bool, Parameter(negative="", help="Leave the relay and bob running, at an address to join with `chappe chat`.")
    ] = False,
    seed: Annotated[int | None, Parameter(help="Repeat a run: sizes of messages and moment of the kill.")] = None,
    away: Annotated[int, Parameter(help="Messages said while somebody is away.")] = 500,
    directory: Annotated[
        Path | None, Parameter(help="Where everything happens; a temporary directory, removed afterwards.")
    ] = None,
) -> int:
    """Run a relay and five people as processes on this machine, and judge what everybody got.

    Exit code 1: something that is promised did not happen; the summary says what.
    """
    import tempfile

    chosen = random.SystemRandom().randrange(1 << 31) if seed is None else seed
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        return _run_until_interrupt(directory, chosen, away, json, keep)
    with tempfile.TemporaryDirectory(prefix="chappe-demo-") as temporary:
        return _run_until_interrupt(Path(temporary), chosen, away, json, keep)


def _run_until_interrupt(directory: Path, seed: int, away: int, json: bool, keep: bool) -> int:
    import trio

    try:
        return trio.run(_run, directory, seed, away, json, keep)
    except* KeyboardInterrupt:
        print("ended", file=sys.stderr)
    return 130


async def _run(directory: Path, seed: int, away: int, json: bool, keep: bool) -> int:
    import trio

    from relay.demo.story import Sizes, Story

    def tell(text: str) -> None:
        if not json:
            print(f"· {text}", flush=True)

    story = Story(directory, Sizes(away=away), seed, tell)
    async with trio.open_nursery() as nursery:
        try:
            await story.run(nursery)
            if story.figures.ok:
                await story.conclude()
            if json:
                print(json_module.dumps(story.figures.as_json()), flush=True)
            else:
                _show(story)
            if keep and story.figures.ok:
                await _stay(story)
        finally:
            await story.close()
    return 0 if story.figures.ok else 1


def _show(story: Story) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    figures = story.figures
    memory = {True: "FOUND", False: "nowhere", None: "could not be looked at"}[figures.marker_in_memory]
    rows = [
        ("relay ready after", f"{figures.relay_ready_ms:.0f} ms"),
        ("messages said", f"{figures.sent}"),
        ("stored (acknowledged)", f"{figures.stored}"),
        ("delivered, over all members", f"{figures.delivered}"),
        ("lost", f"{figures.lost}"),
        ("duplicated", f"{figures.duplicated}"),
        ("a sender's messages swapped", f"{figures.swapped}"),
        ("order equal on all members", "yes" if figures.orders_equal else "NO"),
        ("from saying to hearing, p50 / p99", f"{figures.p50_ms} ms / {figures.p99_ms} ms"),
        (f"away for {figures.away_messages} messages, then LIVE after", f"{figures.catch_up_ms:.0f} ms"),
        ("relay killed with signal", f"{figures.killed_by}, after {figures.stored_before_kill} stored messages"),
        ("all there again after", f"{figures.back_after_kill_ms:.0f} ms"),
        ("marker in the relay's files and log", ", ".join(figures.marker_in_files) or "nowhere"),
        ("marker in the relay's memory", memory),
        *figures.games.items(),
        ("seed", f"{figures.seed}"),
        ("took", f"{figures.seconds} s"),
    ]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(name, value)
    console = Console(highlight=False)
    console.print()
    console.print(table)
    console.print()
    marks = {True: "[green]PASS[/]", False: "[red]FAIL[/]"}
    for act, promises in figures.promises.items():
        for what, kept in promises.items():
            console.print(f"{marks[kept]}  {act}: {escape(what)}", soft_wrap=True)
    console.print()
    for line in figures.pgn:
        console.print(line, style="dim", markup=False)
    if figures.ok:
        console.print("[bold green]everything that is promised happened[/]")
    for failure in figures.failures:
        console.print(failure, style="red", markup=False)


async def _stay(story: Story) -> None:
    """Leave the room open until Ctrl-C."""
    import trio

    print(
        f"\nThe relay is still there. Join from another terminal:\n\n"
        f"    chappe chat {story.relay.url} --data ~/chappe-demo-me --handle me\n\n"
        f"then /add bob, /to bob. Ctrl-C here ends it.",
        flush=True,
    )
    await trio.sleep_forever()
