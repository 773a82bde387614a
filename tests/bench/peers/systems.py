"""What is measured: how to start every server, how to speak to it, and which workloads there are."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.demo.processes import chappe
from tests.bench.peers.crowd import CONFIG, HOME
from tests.support.proof import NotRun

HERE: Final = Path(__file__).parent
NCHAN: Final = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CFLAGS: Final = ("-O2", "-march=native", "-w")
LOAD: Final = HOME / "wsload"
RAWCAST: Final = HOME / "rawcast"
CERTS: Final = HOME / "certs"
FILES: Final = 65_536  # where the machine allows; the largest workloads fit its usual 20,000


@dataclass(frozen=True, slots=True)
class System:
    """A server. In ``command`` and ``config`` @PORT@, @PORT1@, @RUN@, @CONF@, @DATA@ and @CERTS@ are replaced."""

    command: tuple[str, ...]
    dialect: str
    config: str = ""  # what @CONF@ holds
    needs: tuple[str | Path, ...] = ()  # programs or files
    tls: bool = False
    is_ours: bool = False

    def missing(self) -> list[str]:
        """What this machine lacks to run it."""
        return [str(need) for need in self.needs if not shutil.which(need) and not Path(need).is_file()]


def _template(name: str) -> str:
    return (HERE / "conf" / f"{name}.conf.in").read_text(encoding="ascii")


def _ours(config: str = "", *, tls: bool = False) -> System:
    command = (
        *chappe("up"), "--data", "@DATA@", "--port", "@PORT@", "--ops-port", "@PORT1@", "--config", "@CONF@", "--json",
    )  # fmt: skip
    secured = 'tls_certificate = "@CERTS@/cert.pem"\ntls_key = "@CERTS@/key.pem"\n' if tls else ""
    return System(command, "ours", CONFIG + secured + config, tls=tls, is_ours=True)


SYSTEMS: Final[dict[str, System]] = {
    "ours": _ours(),
    "ours-trio": _ours('plane = "trio"\n'),  # the seam over trio-websocket, for comparison
    "ours-tls": _ours(tls=True),
    "nats": System(("nats-server", "-c", "@CONF@"), "nats", _template("nats"), ("nats-server",)),
    "nats-tls": System(("nats-server", "-c", "@CONF@"), "nats", _template("nats-tls"), ("nats-server",), tls=True),
    "mosquitto": System(("mosquitto", "-c", "@CONF@"), "mqtt", _template("mosquitto"), ("mosquitto",)),
    "nchan": System(("nginx", "-c", "@CONF@"), "nchan", _template("nchan"), ("nginx", NCHAN)),
    "rawcast": System((str(RAWCAST), "@PORT@"), "raw"),
    "rawcast-each": System((str(RAWCAST), "@PORT@", "--each"), "raw"),
}
_D: Final = "--duration 2 --warmup 0.5"


@dataclass(frozen=True, slots=True)
class Workload:
    """Options of wsload, and who the connections are towards our relay: the crowd, its prefix, echoed or not.

    In a conversation of two a publisher gets no echo, as the peers' publishers get none; in a large one it is one
    delivery among thousands.
    """

    options: str
    crowd: str = "small"
    prefix: str = "fan"
    echo: bool = True

    def arguments(self) -> list[str]:
        """For wsload."""
        return self.options.split()


def _pairs(options: str) -> Workload:
    return Workload(f"{_D} --subs 1 {options}", prefix="pair", echo=False)


WORKLOADS: Final[dict[str, Workload]] = {
    "fan100-sat": Workload(f"{_D} --groups 1 --subs 100 --window 16"),
    "fan1k-sat": Workload(f"{_D} --groups 1 --subs 1000 --window 16"),
    "fan5k-sat": Workload(f"{_D} --groups 1 --subs 5000 --window 8"),
    "fan20k-sat": Workload("--duration 3 --warmup 1 --groups 1 --subs 19900 --window 4 --max-time 60", crowd="large"),
    "fan100-one": Workload(f"{_D} --groups 1 --subs 100 --window 1"),
    "fan1k-one": Workload(f"{_D} --groups 1 --subs 1000 --window 1"),
    "fan100-rate": Workload(f"{_D} --groups 1 --subs 100 --rate 50 --spin"),
    "fan1k-rate": Workload(f"{_D} --groups 1 --subs 1000 --rate 5 --spin"),
    "fan5k-rate": Workload("--duration 3 --warmup 1 --groups 1 --subs 5000 --rate 1 --spin"),
    "pair50-ping": _pairs("--groups 50 --window 1"),
    "pair500-ping": _pairs("--groups 500 --window 1"),
    "pair50-pipe": _pairs("--groups 50 --window 32"),
    "pair500-pipe": _pairs("--groups 500 --window 32"),
    "pair50-rate": _pairs("--groups 50 --rate 20 --spin"),
    "rooms100x20": Workload(f"{_D} --groups 100 --subs 20 --window 2", prefix="room"),
    "connect5k": Workload("--connect --groups 1 --subs 5000"),
    "idle5k": Workload("--idle 1.5 --groups 5000 --subs 1", crowd="large", prefix="idle"),
    "idle20k": Workload("--idle 1.5 --groups 19900 --subs 1 --max-time 60", crowd="large", prefix="idle"),
}
FANS: Final = ("fan100-sat", "fan1k-sat", "fan5k-sat")


def raise_files(wanted: int = FILES) -> None:
    """Let this process and what it starts open so many files; as many as it may where that is not allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for most in (max(wanted, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        except (ValueError, OSError):
            continue
        return


def replaced(text: str, values: dict[str, str]) -> str:
    """``text`` with every @NAME@ replaced."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def build(say: Callable[[str], None] = print) -> None:
    """Compile what is not there or older than its source, and make a throw-away certificate. Raises ``NotRun``."""
    raise_files()
    HOME.mkdir(parents=True, exist_ok=True)
    for target, libraries, options in (
        (LOAD, ("-lssl", "-lcrypto", "-lsodium"), ("-DWITH_TLS",)),
        (RAWCAST, ("-lcrypto",), ()),
    ):
        source = HERE / f"{target.name}.c"
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        if shutil.which("cc") is None:
            raise NotRun("no C compiler: apt-get install gcc libc6-dev libssl-dev libsodium-dev")
        command = ["cc", *CFLAGS, *options, "-o", str(target), str(source), *libraries]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise NotRun(f"{source.name} does not compile ({lines[0]}): apt-get install libssl-dev libsodium-dev")
        say(f"compiled {target.name}")
    if not (CERTS / "cert.pem").exists():
        _certificate()


def _certificate() -> None:
    if shutil.which("openssl") is None:
        raise NotRun("no openssl to make a certificate with: apt-get install openssl")
    CERTS.mkdir(exist_ok=True)
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost "
        f"-keyout {CERTS}/key.pem -out {CERTS}/cert.pem"
    )
    subprocess.run(command.split(), capture_output=True, check=True)
