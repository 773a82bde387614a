"""Which login of a device is the newest: a pure rule.

A device numbers its CONNECTs with a number that only grows, and the store refuses one that is not above the last. So a
CONNECT that was stuck on its way (its client had long gone and come back) never becomes the newest login: it would
throw the living connection out, and let an old copy of a PUB land after its outcome was told.
"""

from __future__ import annotations

from protocol.errors import Code, Reason
from protocol.limits import ID_AHEAD_MS_MAX
from storage.base import Append, Refused
from storage.facts import Facts


def next_login(last: int, number: int, now_ms: int, *, shared: bool = False) -> int | Refused:
    """The number of a login. ``shared``: the one of the processes before goes on, so that none throws another out.
    ``last``: of the one before; ``number``: the device's for its CONNECT, 0 if it has none.

    Devices number by their clock (Unix ms) or one above their last, so one far ahead of ours would lock the device out.
    """
    if shared and last:
        return last
    if number == 0:
        return last + 1
    if number <= last:
        text = "a newer login of this device is recorded; connect again with a higher number than detail's offset"
        return Refused(Code.CONFLICT, text, Reason.SUPERSEDED, retry_ms=0, offset=last)
    if number > max(last + 1, now_ms + ID_AHEAD_MS_MAX):
        return Refused(Code.FRAME, "the number of this login lies more than a day ahead; set this device's clock")
    return number


def late(facts: Facts, intent: Append) -> Refused | None:
    """Why an append comes too late: a newer login took over, or the slot that it belongs to has another holder."""
    if intent.login < facts.login:
        return Refused(Code.CONFLICT, "a newer login of this device exists; use that connection", Reason.SUPERSEDED)
    if intent.lease is not None and intent.lease != facts.lease:
        text = "another process of this worker holds the slot by now; drop what you have of it"
        return Refused(Code.CONFLICT, text, Reason.FENCED)
    return None
