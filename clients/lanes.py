"""A lane: what leaves this client in one topic, in order. Every step costs the same however much waits."""

from __future__ import annotations

from collections import deque

from clients import records as R
from clients.records import Work


class Lane:
    """What waits and flies in one topic. Rows are in the order in which they were said."""

    def __init__(self, topic: bytes) -> None:
        self.topic = topic
        self.flying: dict[bytes, R.Outgoing] = {}  # sent and unanswered, in the order of sending
        self.draining = False  # wait for all answers, then start over
        self.not_before_ms = 0
        self.need = (0, 0)  # (group, fence) to have read before sealing again
        self.examined = 0  # rows looked at to find what goes next, for ever: it must not grow with what waits
        self._rows: dict[bytes, R.Outgoing] = {}
        self._next: deque[R.Outgoing] = deque()  # not sent since the last start; may hold rows that are gone
        self._commit = b""  # the last commit that was sent or stored

    @property
    def rows(self) -> list[R.Outgoing]:
        """All that is not done, in order."""
        return list(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, R.Outgoing) and self._rows.get(row.id) is row

    def get(self, message_id: bytes) -> R.Outgoing | None:
        """A row by its id."""
        return self._rows.get(message_id)

    def add(self, row: R.Outgoing) -> None:
        """At the end; a reset before everything, since nothing else is taken until it is stored."""
        if row.plan is not None and row.plan.reset:
            self._rows = {row.id: row, **self._rows}
            self._next.appendleft(row)
        else:
            self._rows[row.id] = row
            if row.stored_offset is None:
                self._next.append(row)
            elif row.work == Work.COMMIT:
                self._commit = row.id

    def remove(self, row: R.Outgoing) -> None:
        """It is done, or given up."""
        if row in self:
            del self._rows[row.id]
        self.flying.pop(row.id, None)

    def rewind(self) -> None:
        """Start over with all that is neither stored nor flying."""
        self._next = deque(
            row for row in self._rows.values() if row.stored_offset is None and row.id not in self.flying
        )  # fmt: skip

    def sort(self) -> None:
        """By number: rows of several sources were added."""
        self._rows = {row.id: row for row in sorted(self._rows.values(), key=lambda row: row.number)}
        self.rewind()

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._next.clear()
        self.flying.clear()

    def peek(self) -> R.Outgoing | None:
        """What is to be sent next; None: nothing, or only after the echo of a commit, by which it is sealed."""
        commit = self._rows.get(self._commit)
        if commit is not None and (commit.stored_offset is not None or commit.id in self.flying):
            return None
        while self._next:
            self.examined += 1
            row = self._next[0]
            if row in self and row.stored_offset is None and row.id not in self.flying:
                return row
            self._next.popleft()
        return None

    def sent(self, row: R.Outgoing) -> R.Outgoing | None:
        """The row that was peeked flies; returns the nearest earlier one that is neither OK'd nor given up."""
        first = row.plan is not None and row.plan.reset
        before = None if first else next(reversed(self.flying.values()), None)
        self._next.popleft()
        self.flying[row.id] = row
        if row.work == Work.COMMIT:
            self._commit = row.id
        return before
