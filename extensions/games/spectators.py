"""What spectators are shown, late: what everybody may see, and nothing else."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from itertools import chain

from extensions.games import bounds as B
from extensions.games.hall import Hall, Show
from extensions.games.table import Phase
from protocol.messages import Body
from protocol.messages import game as G


@dataclass
class Showing:
    """What is due: to whom what is said, and what need not be kept any more."""

    says: list[tuple[bytes, Body]] = field(default_factory=list)
    shown: list[Show] = field(default_factory=list)
    ended: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.shown)

    def write(self, db: sqlite3.Connection) -> None:
        """Forget what was shown; runs in the worker's transaction."""
        db.executemany("DELETE FROM shows WHERE match = ? AND ply = ?", [(one.match, one.ply) for one in self.shown])
        db.executemany("DELETE FROM watchers WHERE match = ?", [(match,) for match in self.ended])

    def adopt(self, hall: Hall) -> None:
        """The same in memory."""
        for show in self.shown:
            hall.shows[show.match].remove(show)
            if not hall.shows[show.match]:
                del hall.shows[show.match]
        for match in self.ended:
            hall.watchers.pop(match, None)


def due_shows(hall: Hall, now_ms: int) -> Showing:
    """What is old enough by now; after the last of a match that is over, its spectators are told so and go."""
    found = Showing()
    due = sorted(
        (show for show in chain.from_iterable(hall.shows.values()) if show.at_ms <= now_ms),
        key=lambda show: (show.at_ms, show.ply),
    )  # fmt: skip
    for show in due:
        watchers = sorted(hall.watchers.get(show.match, ()))
        if found.shown and len(found.says) + 2 * len(watchers) > B.SAYS:
            break
        found.shown.append(show)
        table = hall.tables.get(show.match)
        if table is None:
            continue
        body = G.Shown(show.match, table.terms.game, show.ply, show.seen)
        found.says += [(account, body) for account in watchers]
        is_last = all(other in found.shown for other in hall.shows[show.match])
        if is_last and table.phase in (Phase.OVER, Phase.CLOSED):
            outcome = None if table.log is None else table.log.match.outcome
            closed = G.Closed(show.match, "over" if outcome is None else outcome.reason)
            found.says += [(account, closed) for account in watchers]
            found.ended.append(show.match)
    return found
