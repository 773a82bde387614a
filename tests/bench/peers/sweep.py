"""One run at a time: a fresh server on core 0, the load on core 1, both with priority, under a lock.

Systems run back to back inside one workload, so that ratios are taken from neighbouring seconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.peers.crowd import HOME, crowd
from tests.bench.peers.systems import CERTS, HERE, LOAD, SYSTEMS, WORKLOADS, System, Workload, replaced
from tests.support.servers import free_port

Result = dict[str, Any]
START_S: Final = 20
RUN_S: Final = 120
NICE: Final = os.environ.get("NICE", "-15")  # 0 where the user may not ask for more


@dataclass(frozen=True, slots=True)
class Server:
    """A server that accepts connections."""

    name: str
    system: System
    port: int
    pid: int
    folder: Path
    data: Path | None  # the crowd's lines


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else measures meanwhile, in any checkout that names the same BENCH_LOCK."""
    path = Path(os.environ.get("BENCH_LOCK", Path(tempfile.gettempdir()) / "chappe-bench.lock"))
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pinned(core: int, *command: str) -> list[str]:
    """A command on one core with priority."""
    return ["taskset", "-c", str(core), "nice", "-n", NICE, *command]


def prefer(pid: int) -> None:
    """Give a process's session the priority too: where sessions are scheduled as groups (Linux, sched_autogroup),
    niceness counts only among the processes of one session.
    """
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(NICE)


@contextmanager
def running(name: str, crowd_name: str = "small", tree: Path | None = None) -> Iterator[Server]:
    """A fresh server; ended by its own process id. Raises ``RuntimeError`` with its last lines if it does not start.

    ``tree``: run our relay from another checkout.
    """
    system = SYSTEMS[name]
    lines = crowd(crowd_name) if system.is_ours else None
    with tempfile.TemporaryDirectory(prefix="chappe-peers-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        port = free_port()
        values = {
            "PORT": str(port), "PORT1": str(free_port()), "RUN": temporary, "CONF": f"{temporary}/conf",
            "DATA": f"{temporary}/data", "CERTS": str(CERTS), "EXTRA": "",
        }  # fmt: skip
        (folder / "conf").write_text(replaced(system.config, values))
        if lines is not None:
            shutil.copytree(lines / "data", folder / "data")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CHAPPE_RELAY_")}
        if tree is not None:
            environment["PYTHONPATH"] = str(tree)
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                pinned(0, *(replaced(part, values) for part in system.command)), stdout=log, stderr=log,
                cwd=folder, env=environment, start_new_session=True,
            )  # fmt: skip
        prefer(process.pid)
        try:
            _wait(process, port, folder / "log")
            yield Server(name, system, port, process.pid, folder, lines)
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    else:
        raise RuntimeError(f"did not start: {log.read_text()[-300:]}")
    time.sleep(0.3)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The session that we started, and whatever it started itself (nginx has workers)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(4)
            return
        except subprocess.TimeoutExpired:
            continue


def dialect(server: Server, workload: Workload) -> Path:
    """The dialect file for a run."""
    source = HERE / "dialects" / f"{server.system.dialect}.dialect"
    if server.data is None:
        return source
    values = {"CROWD": str(server.data / workload.prefix), "FLAGS": "\\x01" if workload.echo else "\\x11"}
    target = server.folder / f"{workload.prefix}-{workload.echo}.dialect"
    target.write_text(replaced(source.read_text(encoding="utf-8"), values))
    return target


def command_of(server: Server, name: str, workload: Workload) -> list[str]:
    """wsload for one run."""
    limit = [] if "--max-time" in workload.options else ["--max-time", "25"]
    return [
        "nice", "-n", NICE, str(LOAD), "--cpu", "1", "--port", str(server.port),
        "--dialect", str(dialect(server, workload)), "--server-pid", str(server.pid), "--label", server.name,
        "--workload", name, *limit, *workload.arguments(), *(["--tls"] if server.system.tls else []),
    ]  # fmt: skip


def load(command: list[str]) -> subprocess.Popen[str]:
    """Start wsload."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    prefer(process.pid)
    return process


def finished(process: subprocess.Popen[str]) -> Result:
    """Wait for wsload, and what it said. Raises ``subprocess.TimeoutExpired``; then it has been ended."""
    with process:
        try:
            out, err = process.communicate(timeout=RUN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return parsed(out, err)


def parsed(out: str, err: str) -> Result:
    """What a run of wsload said."""
    line = out.strip().splitlines()[-1:]
    said = err.strip().splitlines()
    if not line:
        return {"error": said[-1] if said else "no output"}
    result: Result = json.loads(line[0])
    if said:
        result["stderr"] = " / ".join(said)[:300]
    return result


def run(name: str, workload: str, tree: Path | None = None) -> Result:
    """One run of one system."""
    chosen = WORKLOADS[workload]
    result: Result = {"label": name, "workload": workload}
    missing = SYSTEMS[name].missing()
    if missing:
        return result | {"error": f"not installed: {', '.join(missing)}"}
    try:
        with running(name, chosen.crowd, tree) as server:
            command = command_of(server, workload, chosen)
            result |= finished(load(command))
            if "error" in result:
                result["server_log"] = (server.folder / "log").read_text()[-300:]
    except RuntimeError as error:
        result["error"] = str(error)
    except subprocess.TimeoutExpired:
        result["error"] = "timeout"
    return result | {"t": round(time.time()), "load1": round(os.getloadavg()[0], 2)}


def sweep(systems: list[str], workloads: list[str], repeat: int, out: Path | None, tree: Path | None) -> list[Result]:
    """Every system in every workload, ``repeat`` times; a line each on the terminal and in ``out``."""
    results = []
    path = out or HOME / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for _ in range(repeat):
            for workload in workloads:
                if any(SYSTEMS[name].is_ours for name in systems):
                    crowd(WORKLOADS[workload].crowd)
                for name in systems:
                    with alone():
                        result = run(name, workload, tree)
                    results.append(result)
                    file.write(json.dumps(result) + "\n")
                    file.flush()
                    print(line(result), flush=True)
    print(f"results in {path}")
    return results


def line(result: Result) -> str:
    """One run, for people."""
    head = f"{result['workload']:13} {result['label']:13}"
    if "error" in result:
        return f"{head}{result['error']}"
    latency = result.get("lat_us", {})
    if not latency:
        return (
            f"{head}{result['conn_per_s']:>10,.0f} connects/s   CPU {result['conn_srv_cpu_us']:.0f} us each   "
            f"{result['rss_per_conn_kib']:.1f} KiB each   lost {result['lost_conns']}   load {result['load1']}"
        )
    return (
        f"{head}{result['deliv_per_s']:>10,}/s  p50 {latency['p50']:>9,.0f} us  p99 {latency['p99']:>9,.0f} us  "
        f"CPU/delivery {result['srv_us_per_deliv']:.2f} us  server {result['srv_cpu_pct']} %  load generator "
        f"{result['gen_cpu_pct']} %  lost {result['lost']}  load {result['load1']}"
    )
