"""The referee: a match from the offer to the rematch, and one documented outcome for each kind of bad input."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extensions.games import table as T
from extensions.games.table import Accept, Again, Back, Decline, Gone, Phase, Terms, Tick
from protocol.limits import GAME_GRACE_MS, GAME_OFFER_MS, GAME_SPECTATOR_DELAY_MS, GAME_START_MS
from protocol.plies import Fault, Kind, MatchError
from protocol.rules.clocks import parse_spec
from protocol.rules.deals import is_seed
from protocol.rules.games import GAMES
from protocol.transcript import to_bytes
from tests.extensions.games.tables import JUDGE, Evening, evening, player
from tests.protocol.playing import START_MS

FIVE = parse_spec("300+3", 500)


def test_from_the_offer_to_the_result() -> None:
    one = evening(clock=FIVE, rated=True)
    assert one.got(T.Started)
    one.moves("0", "3", "1", "4", "2")
    assert one.table.phase is Phase.OVER
    (ended,) = one.got(T.Ended)
    assert (ended.outcome.points, ended.rated) == ((2, 0), True)
    assert ended.accounts == (player(0).account, player(1).account)
    verdict = one.verdict()
    assert verdict.ok
    assert verdict.final
    assert verdict.genesis is not None
    assert is_seed(verdict.genesis.match, one.table.seed, verdict.genesis.commitment)
    assert verdict.genesis.engines == (("chappe", "1"),)
    assert not one.got(T.Wake)


def test_what_players_and_spectators_are_told() -> None:
    one = evening().moves("4")
    (logged,) = one.got(T.Logged)
    (shown,) = one.got(T.Shown)
    assert logged.observations == (b"...\n.x.\n...\no",) * 2
    assert logged.salts == (b"", b"")
    assert (shown.at_ms, shown.ply) == (one.now_ms + GAME_SPECTATOR_DELAY_MS, 0)
    assert shown.observation == b"...\n.x.\n...\no"


def test_an_offer_that_nobody_takes() -> None:
    one = Evening(Terms("chess"))
    assert one.got(T.Wake) == [T.Wake(START_MS + GAME_OFFER_MS)]
    one.happens(Tick())
    assert one.table.phase is Phase.OFFERED
    one.happens(Tick(), GAME_OFFER_MS)
    assert one.got(T.Closed)
    one.happens(Accept(player(1)))
    assert one.faults == [Fault.OVER]


def test_declining() -> None:
    one = Evening(Terms("chess", invited=(player(1).account,)))
    one.happens(Decline(player(2).account))
    assert one.faults == [Fault.NOT_SEATED]
    one.happens(Accept(player(2)))
    assert one.faults == [Fault.NOT_SEATED]
    one.happens(Decline(player(1).account))
    assert one.got(T.Closed)
    one.happens(Decline(player(0).account))
    assert one.faults == [Fault.OVER]


def test_a_rematch_turns_the_seats() -> None:
    one = evening()
    one.happens(Again(player(0), bytes(64)))
    assert one.faults == [Fault.NOT_HERE]
    one.say(0, Kind.ABORT)
    one.happens(Again(player(2), bytes(64)))
    assert one.faults == [Fault.NOT_SEATED]
    one.happens(Again(player(0), bytes(range(100, 164))))
    (proposed,) = one.got(T.Proposed)
    one.happens(Again(player(0), bytes(64)))
    assert one.faults == [Fault.DUPLICATE]
    one.happens(Again(player(1), bytes(64)))
    (opened,) = one.got(T.Opened)
    assert one.got(T.Started)
    assert one.table.phase is Phase.CLOSED
    assert [who.account for who in opened.table.players] == [player(1).account, player(0).account]
    assert opened.table.log.genesis.rematch_of == one.table.match
    assert opened.table.match == proposed.table.match != one.table.match
    assert opened.table.seed == proposed.table.seed


# -- time --------------------------------------------------------------------------------------------------------------
def test_nobody_begins() -> None:
    one = evening(clock=FIVE)
    assert one.got(T.Wake) == [T.Wake(one.now_ms + GAME_START_MS)]
    one.moves("0")
    one.happens(Tick(), GAME_START_MS)
    assert (one.reason, one.table.phase) == ("aborted", Phase.OVER)
    assert one.verdict().on_its_word == (1,)
    slow = evening(clock=parse_spec("1d"))
    assert slow.got(T.Wake) == [T.Wake(slow.now_ms + 86_400_000)]


def test_a_flag() -> None:
    one = evening(clock=FIVE).moves("0", "3")
    (wake,) = one.got(T.Wake)
    assert wake.at_ms == one.now_ms + 300_500
    one.happens(Tick(), 300_499)
    assert one.reason == ""
    one.happens(Tick(), 1)
    assert one.reason == "time"
    assert one.verdict().ok
    assert one.verdict().outcome == one.got(T.Ended)[0].outcome


def test_the_referee_itself_was_away() -> None:
    one = evening(clock=FIVE).moves("0", "3")
    one.happens(Gone(player(1).account))
    one.happens(T.Away(400_000), 400_000)
    assert one.reason == ""
    (logged,) = one.got(T.Logged)
    assert one.table.gone == (None, one.now_ms)
    assert one.table.log is not None
    assert one.table.log.match.clocks.since_ms == one.now_ms - 1000  # the second before it counts
    assert one.verdict().on_its_word == (logged.ply,)
    one.happens(T.Away(0), 0)
    assert not one.got(T.Logged)
    free = evening().moves("0", "3")
    free.happens(T.Away(5000), 5000)
    assert not free.got(T.Logged)
    offered = Evening(Terms("chess"))
    offered.happens(T.Away(5000), 5000)
    assert offered.table.phase is Phase.OFFERED


def test_who_leaves_and_does_not_come_back() -> None:
    one = evening().moves("0", "3")
    one.happens(Gone(player(1).account))
    away = one.now_ms
    one.happens(Gone(player(1).account))
    assert one.got(T.Wake) == [T.Wake(away + GAME_GRACE_MS)]
    one.happens(Back(player(1).account))
    one.happens(Tick(), GAME_GRACE_MS)
    assert one.table.phase is Phase.PLAYING
    one.happens(Gone(player(1).account))
    one.happens(Tick(), GAME_GRACE_MS)
    assert one.got(T.Ended)[0].outcome.points == (2, 0)
    assert one.verdict().on_its_word == (2,)
    one.happens(Gone(player(1).account))  # nobody cares any more


def test_when_all_leave_nobody_wins_by_it() -> None:
    one = evening().moves("0", "3")
    one.happens(Gone(player(0).account))
    one.happens(Gone(player(1).account))
    one.happens(Tick(), 2 * GAME_GRACE_MS)
    assert one.table.phase is Phase.PLAYING
    slow = evening(clock=parse_spec("1d")).moves("0", "3")
    slow.happens(Gone(player(0).account))
    slow.happens(Tick(), 2 * GAME_GRACE_MS)
    assert slow.table.phase is Phase.PLAYING


def test_a_clock_of_the_machine_that_goes_back_harms_nobody() -> None:
    one = evening(clock=FIVE).moves("0", "3")
    one.say(0, Kind.MOVE, "1", -5000)
    assert not one.faults
    assert one.verdict().ok


def test_chance_that_decides() -> None:
    """The referee speaks for chance whenever it is its turn."""
    one = evening("backgammon")
    assert one.table.log is not None
    assert one.table.log.match.ply >= 1
    assert one.got(T.Logged)[0].entry.statement is None
    one.say(GAMES["backgammon"].turn(one.table.log.match.state)[0], Kind.RESIGN)
    assert one.verdict().ok


def test_hidden_hands() -> None:
    one = evening("eights")
    log = one.table.log
    assert log is not None
    rules = GAMES["eights"]
    seat = rules.turn(log.match.state)[0]
    one.say(seat, Kind.MOVE, rules.actions(log.match.state, seat)[0])
    (logged,) = one.got(T.Logged)
    assert logged.observations[0] != logged.observations[1]
    assert len(set(logged.salts)) == 2
    one.say(0, Kind.RESIGN)
    assert one.verdict().ok


# -- what is refused (all of it: test_bad_input) ----------------------------------------------------------------------
def test_refused_and_nothing_has_changed() -> None:
    one = evening()
    before = one.table
    one.say(1, Kind.MOVE, "0")
    assert one.faults == [Fault.OUT_OF_TURN]
    assert one.table == before
    signed = one.signed(0, Kind.MOVE, "0")
    one.send(0, signed)
    one.send(0, signed)
    assert one.faults == [Fault.DUPLICATE]
    waiting = Evening(Terms("tictactoe"))
    waiting.send(0, signed)
    assert waiting.faults == [Fault.OTHER_MATCH]


def test_two_statements_for_one_ply() -> None:
    one = evening()
    first, second = one.signed(0, Kind.MOVE, "0"), one.signed(0, Kind.MOVE, "4")
    one.send(0, first)
    one.send(0, second)
    assert one.faults == [Fault.TWO_AT_ONCE]
    assert one.got(T.Convicted)


def test_late_and_over() -> None:
    one = evening(clock=FIVE).moves("0", "3")
    one.say(0, Kind.MOVE, "1", 400_000)
    assert one.faults == [Fault.LATE]
    one.say(0, Kind.MOVE, "1")
    assert one.faults == [Fault.OVER]


# -- what a shell needs ------------------------------------------------------------------------------------------------
def test_a_table_is_restored_from_its_log() -> None:
    one = evening(clock=FIVE).moves("0", "3", "1")
    assert one.table.genesis is not None
    waiting = replace(one.table, genesis=None, log=None, players=one.table.players[::-1])
    assert JUDGE.restore(waiting, one.table.genesis, tuple(one.log)) == one.table
    one.moves("4", "2")
    over = JUDGE.restore(waiting, one.table.genesis, tuple(one.log))
    assert over.phase is Phase.OVER
    with pytest.raises(MatchError):
        JUDGE.restore(waiting, one.table.genesis, tuple(one.log[1:]))
    assert len(to_bytes(one.table.genesis, tuple(one.log))) > 1000


def test_terms_that_are_refused() -> None:
    for terms in (Terms("go fish"), Terms("chess", seats=3), Terms("chess", params=(("x", 1),))):
        refused = JUDGE.offer(terms, player(0), 0, bytes(64))
        assert isinstance(refused, T.Refused)
        assert refused.fault is Fault.BAD_PARAMETERS


@given(st.integers(0, 2**32), st.sampled_from(("tictactoe", "nim", "connectfour", "eights", "backgammon")))
def test_people_who_press_anything_never_break_a_log(seed: int, game: str) -> None:
    """Random statements, right and wrong, at random times: the log always holds, and only what is legal is in it."""
    rng = random.Random(seed)
    one = evening(game, clock=parse_spec("20+1", 200))
    for _ in range(25):
        log = one.table.log
        assert log is not None
        seat = rng.randrange(2)
        kind = rng.choice([Kind.MOVE] * 6 + list(Kind))
        actions = GAMES[game].actions(log.match.state, seat) or ("?",)
        one.say(seat, kind, rng.choice(actions), rng.choice((10, 1000, 9000)), draw=rng.random() < 0.1)
        if rng.random() < 0.1:
            one.happens(rng.choice((Gone, Back))(player(seat).account))
    verdict = one.verdict()
    if one.table.phase is Phase.OVER or not GAMES[game].hidden:
        assert verdict.ok, verdict.why
    assert len(one.log) == verdict.plies
