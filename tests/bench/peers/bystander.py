"""What a big fan-out does to everybody else: the latency of 50 pairs alone, and beside 2,000 subscribers.

The pairs say 20 things a second each; the 2,000 get 5 messages a second.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from tests.bench.peers.sweep import Server, alone, command_of, finished, load, running
from tests.bench.peers.systems import Workload

SUBSCRIBERS: Final = 2000
_PAIRS: Final = Workload(
    "--groups 50 --subs 1 --rate 20 --duration 4 --warmup 1 --id-base 100000 --prefix p", prefix="pair", echo=False
)
_FAN: Final = Workload(f"--groups 1 --subs {SUBSCRIBERS} --rate 5 --duration 10 --warmup 1")
_UNTIL_IT_RUNS_S: Final = 3.5


def _pairs(server: Server) -> dict[str, float]:
    result = finished(load(command_of(server, "pairs", _PAIRS)))
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
        fan = load(command_of(server, "fan", _FAN))
        time.sleep(_UNTIL_IT_RUNS_S)
        beside_us = _pairs(server)
        result = finished(fan)
    if "error" in result:
        raise RuntimeError(str(result["error"]))
    return {"alone": alone_us, "beside": beside_us, "fan last": result["last_us"], "lost": result["lost"]}
