"""Shows that a client in another language, written from `protocol/SPEC.md`, speaks to a real relay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trio

from tests.support.proof import NotRun, check
from tests.support.spine.talks import open_relay_process

CLIENT: Final = Path(__file__).resolve().parents[1] / "conformance" / "node" / "client.mjs"
#: The oldest Node that has everything the client uses.
NODE_MIN: Final = 20
RUN_S: Final = 120


def find_node() -> str | None:
    """The path of a Node that is new enough, if there is one."""
    path = shutil.which("node")
    if path is None:
        return None
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    major = said.stdout.strip().removeprefix("v").partition(".")[0]
    return path if major.isdigit() and int(major) >= NODE_MIN else None


async def run_node(node: str, *arguments: str) -> tuple[int, list[str]]:
    """Run the client; its exit code and its lines."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}
    with trio.fail_after(RUN_S):
        done = await trio.run_process(
            [node, str(CLIENT), *arguments], capture_stdout=True, stderr=subprocess.STDOUT, check=False, env=environment
        )
    return done.returncode, done.stdout.decode(errors="replace").splitlines()


async def b10_other_language(seed: int) -> dict[str, Any]:
    """The client in plain JavaScript passes every byte vector, and every case against a relay process."""
    node = find_node()
    if node is None:
        raise NotRun(f"no Node {NODE_MIN} or newer on this machine: install it")
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        async with open_relay_process(Path(temporary)) as relay:
            code, lines = await run_node(node, relay.url)
    failed = [line for line in lines if line.startswith("FAIL")]
    check(not failed, f"{len(failed)} failed, first: {failed[0] if failed else ''}")
    check(code == 0 and bool(lines), f"the client ended with {code}: {' '.join(lines[-3:])[:300]}")
    counts = json.loads(lines[-1])
    return {name: counts[name]["passed"] for name in ("vectors", "cases")}
