"""Every run of the two models: what is changed, what must come of it, and how many states that takes.

Kinds: *mutation* turns a rule of the design off and must be caught, or the model would prove nothing; *written* is an
earlier wording of the design that the model refuted; *partial* is one that mends only half; *proposed* is the design.
Where a mutation holds, the rule is a second line of defence behind another one.

The number of states is part of the expectation: a change of the model that opens or closes behaviour shows here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.model.checker import Result, Verdict, explore
from tests.model.delivery import Delivery
from tests.model.delivery_state import Rules as DeliveryRules
from tests.model.publish import Publish
from tests.model.publish_state import AWAY, DENIED, STALE
from tests.model.publish_state import Rules as PublishRules

#: Runs of more states than this are marked `long`: together the others take some ten seconds.
FAST_STATES_MAX = 85_000


@dataclass(frozen=True, slots=True)
class Run:
    """One row: what it is for, the rules it runs under, what it must show."""

    kind: str
    name: str
    rules: PublishRules | DeliveryRules
    verdict: Verdict
    states: int

    @property
    def fast(self) -> bool:
        """Whether it belongs in every run of the suite."""
        return self.states <= FAST_STATES_MAX

    def explore(self, seconds_max: float = 600) -> Result:
        """Run it."""
        if isinstance(self.rules, PublishRules):
            return explore(Publish(self.rules), seconds_max=seconds_max)
        return explore(Delivery(self.rules), seconds_max=seconds_max)

    def as_expected(self, result: Result) -> bool:
        """Whether `result` is what the row states."""
        return (result.verdict, result.states) == (self.verdict, self.states)


HOLDS, VIOLATION, STUCK = Verdict.HOLDS, Verdict.VIOLATION, Verdict.STUCK

_P = PublishRules(definite=(STALE,))
_SMALL = replace(_P, disconnects=1, crashes=0, dbdrops=0)
_ONE = replace(_SMALL, second=False)
_LAST = replace(_ONE, after="last")
_UNLOCKED = replace(_ONE, definite=(STALE, AWAY), resolve_locked=False, disconnects=0, dbdrops=1)
_FREE = replace(_ONE, quota=True, giveup="free")
_RESOLVED = replace(_ONE, quota=True, giveup="resolved")
_ALL_DEFINITE = replace(_ONE, definite=PublishRules().definite)
_CRASH = PublishRules(definite=(STALE,), after="last", second=False, disconnects=1)
_ZOMBIES = replace(_LAST, disconnects=2, zombies=2)

_CODE = replace(_RESOLVED, supersede="transaction", link="open", giveup="permanent")  # as clients.outbox has it
_NEWER = replace(_CODE, committer=False, disconnects=2, zombies=2)
_NEVER = replace(_NEWER, supersede="off")
_MEMORY = replace(_NEWER, supersede="memory")
_LATE = replace(_NEWER, late_logins=True)
_STOPS = replace(_LATE, superseded="stop")
_EARLY = replace(_LATE, pub_before_login=True)
_BROKEN = replace(_LATE, crashes=1, dbdrops=1)
_NUMBERED = replace(_EARLY, superseded="stop", login_order="device")
_DENIES = replace(_CODE, giveup="off", quota=False, removal="locked", definite=(STALE, DENIED))
_ALL = replace(_DENIES, giveup="permanent", quota=True, crashes=1)

#: A newer login supersedes older ones in the append, so a row may be given up whatever became of its earlier copies.
SUPERSEDE = (
    Run("mutation", "give up after a permanent refusal, nothing is superseded", _NEVER, VIOLATION, 1_128),
    Run("mutation", "logins are compared in each node's memory, not in the append", _MEMORY, VIOLATION, 1_244),
    Run("mutation", "`after` is a PUB given up", replace(_NEWER, link="literal"), STUCK, 8_602),
    Run("mutation", "a PUB right behind CONNECT, whose login is recorded late", _EARLY, VIOLATION, 2_943),
    Run("written", "a superseded client stops: its own abandoned CONNECT ends it", _STOPS, STUCK, 20_744),
    Run("proposed", "a newer login supersedes, permanent refusals give up", _NEWER, HOLDS, 11_490),
    Run("proposed", "the same with `after` = not given up", replace(_NEWER, link="relink"), HOLDS, 11_052),
    Run("proposed", "the same, any refusal gives the first one up", replace(_NEWER, giveup="free"), HOLDS, 10_912),
    Run("proposed", "the same with late logins, after which the client connects anew", _LATE, HOLDS, 20_628),
    Run("proposed", "the device numbers its CONNECTs: none of that is needed", _NUMBERED, HOLDS, 11_608),
    Run("proposed", "the same with late logins, a crash, a lost database link", _BROKEN, HOLDS, 114_280),
    Run("proposed", "the same with 3 pipelined", replace(_NEWER, pipelined=3), HOLDS, 551_655),
    Run("proposed", "the same with a committer", _CODE, HOLDS, 97_059),
)
REMOVAL = (
    Run("mutation", "access is judged outside the row lock", replace(_DENIES, removal="memory"), VIOLATION, 851),
    Run("mutation", "access before dedupe", replace(_DENIES, removal="first"), VIOLATION, 3_141),
    Run("proposed", "access in the append, after dedupe", _DENIES, HOLDS, 12_252),
    Run("proposed", "access, logins, quota, giving up, a crash", _ALL, HOLDS, 357_443),
)

PUBLISH = (
    Run("mutation", "fence before dedupe", replace(_SMALL, order="fence-first"), VIOLATION, 3_042),
    Run("mutation", "no `after`", replace(_SMALL, after="none"), VIOLATION, 41_758),
    Run("mutation", "no dedupe (and no `after`)", replace(_SMALL, dedupe=False, after="none"), VIOLATION, 1_796),
    Run("mutation", "no dedupe", replace(_SMALL, dedupe=False), VIOLATION, 1_796),
    Run("mutation", "OK before COMMIT", replace(_SMALL, ok_after_commit=False), VIOLATION, 103),
    Run("mutation", "epoch read outside the row lock", replace(_SMALL, fence_locked=False), VIOLATION, 913),
    Run("mutation", "re-seals after an unknown outcome", replace(_SMALL, reseal_unknown=True), VIOLATION, 38_678),
    Run("mutation", "COMMIT unknown resolved without lock, 504 counts as refusal", _UNLOCKED, VIOLATION, 97),
    Run("written", "409 out-of-order counts as a definite refusal", _ALL_DEFINITE, VIOLATION, 16_186),
    Run("written", "`after` is a PUB refused for good", replace(_RESOLVED, link="literal"), STUCK, 80_615),
    Run("written", "grace judged by each node's clock", replace(_ONE, grace="node-clock"), VIOLATION, 15_751),
    Run("written", "give up after a refusal while an older copy is unknown", _FREE, VIOLATION, 4_153),
    Run("written", "same, looking only for swaps", replace(_FREE, ignore=("P5",)), VIOLATION, 12_317),
    Run("partial", "same, `after` = last: stuck", replace(_FREE, after="last", ignore=("P5",)), STUCK, 106_009),
    Run("proposed", "`after` = last, give up only when resolved", replace(_RESOLVED, after="last"), HOLDS, 87_393),
    Run("proposed", "grace by the database's clock", replace(_LAST, grace="db-clock"), HOLDS, 29_968),
    Run("proposed", "2 pipelined + sender 2 + committer", replace(_SMALL, after="last"), HOLDS, 424_659),
    Run("proposed", "the same with `after` = exists", _SMALL, HOLDS, 424_659),
    Run("proposed", "2 pipelined + committer, a disconnect, a crash, a lost database link", _CRASH, HOLDS, 368_091),
    Run("proposed", "3 pipelined + committer", replace(_LAST, pipelined=3), HOLDS, 127_544),
    Run("proposed", "2 pipelined + committer, 2 disconnects, 2 zombies", _ZOMBIES, HOLDS, 158_862),
    *SUPERSEDE,
    *REMOVAL,
)

_D = DeliveryRules()
_CALM = replace(_D, crashes=0, disconnects=0)
_CALM1 = replace(_CALM, commits=1)
_RESTART = replace(_D, commits=1, disconnects=0, restart_waits=False)
_JUMP = replace(_CALM, contiguous=False, sock=2)
_CUT = replace(_CALM, disconnects=1)
_FAULTS = replace(_D, commits=1, crashes=2, disconnects=2)

DELIVERY = (
    Run("mutation", "no heartbeat", replace(_CALM1, heartbeat="none"), STUCK, 237),
    Run("mutation", "await between compare and attach", replace(_CALM1, attach="await"), STUCK, 1_150),
    Run("mutation", "hub head not contiguous", replace(_JUMP, ring=2), STUCK, 38_526),
    Run("mutation", "the same, no `offset == next` check", replace(_JUMP, next_check=False), VIOLATION, 6_156),
    Run("mutation", "no `offset == next` check", replace(_CUT, next_check=False, sock=2), HOLDS, 840_816),
    Run("mutation", "overflow drops the frame", replace(_CALM, overflow="drop"), STUCK, 43_720),
    Run("mutation", "reconnect resumes at the live head", replace(_CUT, resume="live"), VIOLATION, 47_453),
    Run("mutation", "heard during a fill, forgotten", replace(_CALM, fill_remembers=False), STUCK, 43_314),
    Run("written", "one lost heartbeat is not `missed`", replace(_CALM1, heartbeat="timeout"), STUCK, 642),
    Run("written", "a commit of the earlier incarnation lands after a quick restart", _RESTART, STUCK, 4_974),
    Run("written", "hub reads its head before it listens", replace(_CALM1, hub_create="read-first"), STUCK, 642),
    Run("written", "live only if next == head + 1", replace(_CUT, compare="equal"), HOLDS, 780_424),
    Run("proposed", "1 commit, 1 crash, 1 disconnect", replace(_D, commits=1), HOLDS, 41_486),
    Run("proposed", "1 commit, 2 crashes, 2 disconnects", _FAULTS, HOLDS, 165_608),
    Run("proposed", "2 commits, 1 disconnect", _CUT, HOLDS, 780_424),
    Run("proposed", "1 commit, 2 subscribers, 1 crash, 1 disconnect", replace(_D, commits=1, subs=2), HOLDS, 410_946),
    Run("proposed", "2 commits, 1 crash", replace(_D, disconnects=0), HOLDS, 205_414),
    Run("proposed", "2 commits, 1 crash, 1 disconnect", _D, HOLDS, 3_173_162),
    Run("proposed", "3 commits; loss, duplication, reordering", replace(_CALM, commits=3), HOLDS, 1_484_990),
)

TABLES = {"publish": PUBLISH, "delivery": DELIVERY}
