"""``chappe restore``: a backup becomes the data directory of a relay again."""

from __future__ import annotations

import json as json_module
import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

command = App(name="restore", help="Restore a backup into an empty directory.")
EXIT_REFUSED = 2


@command.default
def restore(
    file: Annotated[Path, Parameter(help="A file that `chappe backup` wrote.")],
    data: Annotated[Path, Parameter(help="Directory to restore into: empty, or not there yet.")],
    *,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Restore a backup. Conversations are readable at once; each takes new messages when an admin's client was there.

    Exit code 2, and one sentence, where it could not be restored; the directory is left empty then.
    """
    from dataclasses import asdict

    from storage.backup import BackupError
    from storage.backup import restore as restore_backup

    try:
        done = restore_backup(file, data, time.time_ns() // 1_000_000)
    except BackupError as error:
        print(f"chappe restore: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if json:
        print(json_module.dumps(asdict(done)))
        return 0
    print(
        f"{data}: {done.manifest.topics} topics with {done.manifest.entries} entries, as of generation "
        f"{done.generation}; {done.recovering} conversations wait for an admin's client to start encryption anew, "
        f"{done.blobs_dropped} files are not in the backup. Start the relay: chappe up --data {data}"
    )
    return 0
