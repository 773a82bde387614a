"""The base install alone: what a bot author gets, in an environment of its own, against a relay elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from tests.support.proof import ROOT, NotRun, check
from tests.support.spine.talks import open_person, open_relay_process, says, wait_for

INSTALL_S = 300


async def echo_bot_on_the_base_install(seed: int) -> dict[str, Any]:
    """``pip install .`` without extras into a new environment; its echo bot answers somebody."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        python = home / "env" / "bin" / "python"
        await _run([sys.executable, "-m", "venv", str(home / "env")])
        await _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(ROOT)])
        listed = await _run([str(python), "-m", "pip", "list", "--format=freeze"])
        extras = [
            name for name in ("SQLAlchemy", "alembic", "redis", "textual") if f"\n{name.lower()}==" in listed.lower()
        ]
        check(not extras, f"the base install brought {extras}")
        async with open_relay_process(home) as relay, open_person(home, "alice", relay.url) as alice:
            environment = {**os.environ, "CHAPPE_URL": relay.url, "CHAPPE_DATA": str(home / "bot")}
            environment.pop("PYTHONPATH", None)
            bot = await trio.lowlevel.open_process(
                [str(python), str(ROOT / "examples" / "echo.py")],
                cwd=str(home), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            try:
                account = await _find(alice, "echo")
                talk = await alice.pair(account)
                await talk.send("is there an echo?")
                answer = await wait_for(alice, lambda e: says("is there an echo?")(e) and _by(e, account), "the echo")
            finally:
                bot.terminate()
                with trio.CancelScope(shield=True):
                    await bot.wait()
        return {"packages": listed.count("=="), "answered at offset": getattr(answer, "offset", None)}


def _by(event: object, account: bytes) -> bool:
    return getattr(event, "account", None) == account


async def _find(client: Any, handle: str) -> bytes:
    """The account of a handle that may take a moment to appear, with key packages to be added with."""
    from clients.connection import Refusal
    from clients.directory import CannotAdd

    with trio.fail_after(60):
        while True:
            try:
                account: bytes = await client.find(handle)
                await client.claim([account])
                return account
            except (Refusal, CannotAdd):
                await trio.sleep(0.2)


async def _run(command: list[str]) -> str:
    with trio.move_on_after(INSTALL_S):
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, cwd=str(Path(command[0]).parent)
        )
        if done.returncode:
            raise NotRun(f"{' '.join(command[1:4])} failed here: {done.stderr.decode()[-200:]}")
        return done.stdout.decode()
    raise NotRun(f"{' '.join(command[1:4])} took over {INSTALL_S} s")
