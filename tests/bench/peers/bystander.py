"""What a big fan-out does to everybody else: the latency of 50 pairs alone, and beside 2,000 subscribers.

The pairs say 20 things a second each; the 2,000 get 5 messages a second.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any, Final

from tests.bench.peers.sweep import Server, alone, command_of, parsed, running
from tests.bench.peers.systems import Workload

SUBSCRIBERS: Final = 2000
_PAIRS: Final = Workload(
    "--groups 50 --subs 1 --rate 20 --duration 4 --warmup 1 --id-base 100000 --prefix p", prefix="pair", echo=False
)
_FAN: Final = Workload(f"--groups 1 --subs {SUBSCRIBERS} --rate 5 --duration 10 --warmup 1")
_UNTIL_IT_RUNS_S: Final = 3.5


def _pairs(server: Server) -> dict[str, float]:
    command = command_of(server, "pairs", _PAIRS)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    result = parsed(done.stdout, done.stderr)
    if "error" in result:
        raise RuntimeError(str(result["error"]))
    found: dict[str, float] = result["lat_us"]
    return found


def bystander(name: str, tree: Path | None = None) -> dict[str, Any]:
    """Latencies in us of the pairs alone and beside the fan-out, and of the fan-out's last subscriber.

    Raises ``RuntimeError`` where the server or the load fails.
    """
    with alone(), running(name, "small", tree) as server:
        alone_us = _pairs(server)
        with subprocess.Popen(
            command_of(server, "fan", _FAN), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as fan:
            time.sleep(_UNTIL_IT_RUNS_S)
            beside_us = _pairs(server)
            out, err = fan.communicate(timeout=60)
        result = parsed(out, err)
    if "error" in result:
        raise RuntimeError(str(result["error"]))
    return {"alone": alone_us, "beside": beside_us, "fan last": result["last_us"], "lost": result["lost"]}
