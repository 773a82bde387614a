"""What `chappe doctor` looks at: an installation, its data directory, and the relay that runs on it, if one does.

Every check gives one ``Check``. ``fail``: it will not work, or data is in danger; ``warn``: somebody should look.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, open_websocket_url

from protocol.codec import decode_frames
from protocol.errors import RemoteProtocolError
from protocol.frames import SUBPROTOCOL, VERSION, Info
from relay.admin_token import TOKEN_FILE
from relay.config import Settings
from relay.ops_client import OpsUnreachable, find
from storage.health import examine
from storage.sqlite import FILE

PACKAGES: Final = ("protocol", "clients", "storage", "relay", "extensions")
DEPENDENCIES: Final = ("trio", "trio-websocket", "msgspec", "msgpack", "pynacl", "cryptography", "sqlalchemy", "redis")
DISK_FAIL_BYTES: Final = 100 << 20  # the write-ahead log alone may grow to 16 MiB
DISK_WARN_BYTES: Final = 1 << 30
SPARE_DESCRIPTORS: Final = 64  # database, logs, listeners, the link to Redis
CLOCK_WARN_MS: Final = 5_000
_YEAR_2025_S: Final = 1_735_689_600
_REACH_S: Final = 5
OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: str
    text: str


def installation() -> Iterator[Check]:
    """Python, our packages, what we build on, and what nobody has looked at yet."""
    python = platform.python_version()
    fine = sys.version_info >= (3, 11)
    yield Check("python", OK if fine else FAIL, python if fine else f"{python}: Chappe needs 3.11 or newer")
    foreign = foreign_packages()
    text = f"{', '.join(foreign)} belong to other distributions: install chappe in an environment of its own"
    yield Check("packages", FAIL if foreign else OK, text if foreign else "all five belong to this distribution")
    yield Check("versions", OK, ", ".join(f"{name} {_version(name)}" for name in ("chappe", *DEPENDENCIES)))
    yield Check(
        "encryption", WARN,
        "unaudited: MLS (RFC 9420) is implemented here from published vectors; nobody outside has reviewed it",
    )  # fmt: skip


def foreign_packages() -> list[str]:
    """Packages of our names that are imported from somewhere else."""
    home = Path(__file__).resolve().parents[1]
    foreign = []
    for name in PACKAGES:
        spec = find_spec(name)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parents[1]
        if origin is not None and origin != home:
            foreign.append(f"{name} ({origin / name})")
    return foreign


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def machine(settings: Settings) -> Iterator[Check]:
    """Clock and file descriptors."""
    plausible = time.time() > _YEAR_2025_S
    text = "plausible" if plausible else "far in the past: device lists and ids will be refused; set it"
    yield Check("clock", OK if plausible else FAIL, text)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.connections_max + SPARE_DESCRIPTORS
    enough = soft in (resource.RLIM_INFINITY, -1) or soft >= wanted
    text = f"{soft} file descriptors (hard limit {hard}); connections_max {settings.connections_max} needs {wanted}"
    yield Check("descriptors", OK if enough else WARN, text if enough else f"{text}: raise it with ulimit -n")


def directory(settings: Settings) -> Iterator[Check]:
    """Rights, room and soundness of the data directory."""
    data = Path(settings.data)
    if not data.is_dir():
        yield Check("data", WARN, f"{data} does not exist yet; the first `chappe up` makes it")
        return
    mode = stat.S_IMODE(data.stat().st_mode)
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Check("data", FAIL, f"{data} is not writable for this user")
    elif mode & 0o007:
        yield Check("data", WARN, f"{data} is open to every user of this machine ({mode:o}): chmod 750 {data}")
    else:
        yield Check("data", OK, f"{data} ({mode:o})")
    free = shutil.disk_usage(data).free
    status = FAIL if free < DISK_FAIL_BYTES else WARN if free < DISK_WARN_BYTES else OK
    yield Check("disk", status, f"{free >> 20} MiB free")
    yield from _token(data / TOKEN_FILE)
    yield from _database(data / FILE)


def _token(file: Path) -> Iterator[Check]:
    if not file.exists():
        yield Check("admin token", WARN, "none yet; the next start makes one")
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    private = not mode & 0o077
    text = f"{mode:o}" if private else f"others can read it ({mode:o}): it is replaced at the next start, or chmod 600"
    yield Check("admin token", OK if private else FAIL, text)


def _database(file: Path) -> Iterator[Check]:
    if not file.exists():
        yield Check("database", WARN, "none yet")
        return
    try:
        health = examine(file)
    except OSError as error:
        yield Check("database", FAIL, f"cannot be read: {error.strerror}")
        return
    if health.faults:
        yield Check("database", FAIL, f"damaged: {'; '.join(health.faults)[:300]}; restore a backup")
    else:
        text = f"sound (quick_check), {health.bytes >> 10} KiB, schema {health.schema}, journal {health.journal}"
        yield Check("database", OK if health.journal == "wal" else WARN, text)


def insecure(settings: Settings) -> Iterator[Check]:
    """Settings that are dangerous in public, one a line."""
    sentences = settings.insecure()
    if not sentences:
        yield Check("settings", OK, "none is insecure")
    for sentence in sentences:
        yield Check("settings", WARN, sentence)


async def running(settings: Settings) -> list[Check]:
    """The relay that runs on the data directory; or, where none does, whether its ports are free."""
    try:
        ops = find(Path(settings.data))
        status, body = await trio.to_thread.run_sync(ops.get, "/readyz")
        who = await trio.to_thread.run_sync(ops.admin, "doctor", {})
    except OpsUnreachable as error:
        found = [_port(settings.host, settings.port, "port"), _port(settings.ops_host, settings.ops_port, "ops_port")]
        return [Check("relay", WARN, f"none is running: {error}"), *found]
    ready = status == 200
    checks = [Check("relay", OK if ready else WARN, f"running at {who['url']}{'' if ready else ', not ready'}")]
    checks += [Check("relay's settings", WARN, sentence) for sentence in who["insecure"]]
    return [*checks, *workers(body), await reachable(who["url"])]


def workers(body: bytes) -> Iterator[Check]:
    """The workers beside a relay, as its ``/readyz`` tells them."""
    for worker in json.loads(body).get("workers", []):
        name = f"worker {worker['name']}"
        if worker["down"]:
            yield Check(name, FAIL, f"down: {worker['down']}; mend it and start the relay again")
        else:
            text = f"running as {worker['pid']}, started again {worker['restarts']} times"
            yield Check(name, WARN if worker["restarts"] else OK, text)


def _port(host: str, port: int, setting: str) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Check(setting, FAIL, f"{host}:{port} cannot be had: {error.strerror}; set another '{setting}'")
    return Check(setting, OK, f"{host}:{port} is free")


async def reachable(url: str) -> Check:
    """Whether a websocket opens and greets, in which version, and how far the clocks are apart."""
    try:
        with trio.fail_after(_REACH_S):
            async with open_websocket_url(url, subprotocols=[SUBPROTOCOL], disconnect_timeout=1) as websocket:
                message = await websocket.get_message()
    except (OSError, HandshakeError, ConnectionRejected, ConnectionClosed, trio.TooSlowError) as error:
        return Check("websocket", FAIL, f"{url} does not open: {type(error).__name__} {error}".strip())
    try:
        (info,) = decode_frames(bytes(message) if isinstance(message, bytes) else b"", from_client=False)
    except (RemoteProtocolError, ValueError):
        info = None
    if not isinstance(info, Info) or VERSION not in info.versions:
        return Check("websocket", FAIL, f"{url} is no relay of this version")
    apart_ms = abs(info.now_ms - time.time_ns() // 1_000_000)
    text = f"{url} greets, protocol version {VERSION}, clock {apart_ms} ms apart"
    return Check("websocket", OK if apart_ms < CLOCK_WARN_MS else WARN, text)


async def examine_all(settings: Settings) -> list[Check]:
    """Every check, in the order in which they are printed."""
    checks = [*installation(), *machine(settings), *directory(settings), *insecure(settings)]
    return [*checks, *await running(settings)]
