"""``python -m tests.bench.peers``: the sweep, its table, and the bystander."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.bench.peers import table
from tests.bench.peers.bystander import bystander
from tests.bench.peers.sweep import sweep
from tests.bench.peers.systems import SYSTEMS, WORKLOADS, build
from tests.support.proof import NotRun

DEFAULT_SYSTEMS = "ours,nats,mosquitto,nchan,rawcast"
DEFAULT_WORKLOADS = "fan100-sat,fan1k-sat,fan5k-sat,fan1k-rate,pair50-ping,pair500-ping,pair50-pipe,pair500-pipe"


def main() -> int:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--systems", default=DEFAULT_SYSTEMS, help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--workloads", default=DEFAULT_WORKLOADS, help=f"of {', '.join(WORKLOADS)}, bystander")
    parser.add_argument("--repeat", type=int, default=1, help="sweeps; the table shows the best run of each")
    parser.add_argument("--out", type=Path, help="JSON lines are added here; build/bench/results by default")
    parser.add_argument("--tree", type=Path, help="run our relay from another checkout")
    parser.add_argument("--table", type=Path, help="only show the table of such a file")
    arguments = parser.parse_args()
    systems, workloads = arguments.systems.split(","), arguments.workloads.split(",")
    unknown = [name for name in systems if name not in SYSTEMS]
    unknown += [name for name in workloads if name not in WORKLOADS and name != "bystander"]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    if arguments.table:
        print(table.markdown(table.read(arguments.table)))
        return 0
    try:
        build()
    except NotRun as why:
        print(why, file=sys.stderr)
        return 2
    plain = [name for name in workloads if name != "bystander"]
    if plain:
        print(table.markdown(sweep(systems, plain, arguments.repeat, arguments.out, arguments.tree)))
    if "bystander" in workloads:
        for name in systems:
            print(name, bystander(name, arguments.tree), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
