"""``chappe backup``: everything that a relay stores, in one file, while it goes on."""

from __future__ import annotations

import json as json_module
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

command = App(name="backup", help="Write a backup of a relay's data to one file; the relay may run meanwhile.")
EXIT_REFUSED = 2


@command.default
def backup(
    data: Annotated[Path, Parameter(help="Data directory of the relay, as for `chappe up`.")],
    file: Annotated[Path, Parameter(help="File to write; it must not exist.")],
    *,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Write a backup. It holds everything that was acknowledged before it began, and nothing half written.

    Exit code 2, and one sentence, where it could not be made; nothing is left of it then.
    """
    from dataclasses import asdict

    from relay.run import CLUSTER_FILE
    from storage.backup import BackupError, write

    try:
        made = write(data, file, time.time_ns() // 1_000_000, (CLUSTER_FILE,))
    except BackupError as error:
        print(f"chappe backup: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if json:
        print(json_module.dumps(asdict(made)))
        return 0
    print(
        f"{file}: {made.topics} topics with {made.entries} entries, {made.blobs} files of {made.blob_bytes} bytes; "
        f"{made.missing} were freed meanwhile"
    )
    return 0
