"""Rounds: every message that a referee takes, and what follows from it."""

from __future__ import annotations

import pytest

from extensions.games.round import Asked, Round, match_of, milli
from extensions.games.table import Away, Gone, Phase
from protocol import limits as L
from protocol.codec import decode_struct, encode_struct
from protocol.identity import SigningKey
from protocol.messages import Body
from protocol.messages import game as G
from protocol.messages.ext import Request
from protocol.plies import Kind
from protocol.transcript import Entry, Signed, Statement, open_signed, sign
from tests.extensions.games.halls import House, account
from tests.protocol.playing import KEYS


def fault(said: list[Body]) -> str:
    (refused,) = said
    assert isinstance(refused, G.Refused), refused
    return refused.fault


def test_from_the_offer_to_the_ratings() -> None:
    house = House()
    match = house.offer(rated=True)
    assert house.hall.statistics().offered == 1
    house.accept(match)
    assert [to for to, _ in house.told(G.Start)] == [account(0), account(1)]
    house.moves(match, "0", "3", "1", "4")
    house.says(match, 0, Kind.MOVE, "2")
    assert [said.points for _, said in house.told(G.Result)] == [(2, 0)] * 2
    ratings = {(to, said.account): (said.rating > 1_500_000, said.games) for to, said in house.told(G.Rating)}
    assert ratings[account(1), account(0)] == (True, 1)
    assert ratings[account(1), account(1)] == (False, 1)
    assert house.round().standings.of(account(0), "tictactoe").games == 1
    assert milli(1.5) == 1500
    assert match_of(G.Decline(match)) == match


def test_two_rated_matches_in_one_round_count_one_after_the_other() -> None:
    house = House()
    matches = [house.begin(rated=True), house.begin(rated=True)]
    for match in matches:
        house.moves(match, "0", "3", "1", "4")
    round_ = house.round()
    for match in matches:
        said = house.statement(match, 0, Kind.MOVE, "2")
        round_.take(Asked(account(0), KEYS[0].public, said))
    house.commit(round_)
    assert house.round().standings.of(account(1), "tictactoe").games == 2


def test_offers_that_cannot_be() -> None:
    house = House()
    good = {"game": "chess", "seats": 2, "clock": "none", "devices": (KEYS[0].public,), "entropy": bytes(32)}
    for changes, why in (
        ({"game": "go fish"}, "bad-parameters"), ({"clock": "soon"}, "bad-parameters"),
        ({"devices": (KEYS[1].public,)}, "malformed"), ({"invited": (account(0),)}, "bad-parameters"),
        ({"seats": 3}, "bad-parameters"), ({"params": (("size", 3),)}, "bad-parameters"),
    ):  # fmt: skip
        assert fault(house.ask(0, G.Offer(**(good | changes)))) == why  # type: ignore[arg-type]


def test_one_account_has_so_many_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(L, "GAME_TABLES_OF_ONE", 2)
    house = House()
    match = house.begin()
    house.offer()
    assert fault(house.ask(0, G.Offer(game="chess", seats=2, clock="3d", devices=(KEYS[0].public,), entropy=bytes(32))))
    house.says(match, 0, Kind.ABORT)
    round_ = house.round()
    offer = G.Offer(game="chess", seats=2, clock="3d", devices=(KEYS[0].public,), entropy=bytes(32))
    for _ in range(2):
        round_.take(Asked(account(0), KEYS[0].public, offer))
    assert [type(said) for _, said, _ in house.commit(round_)] == [G.Open, G.Refused]


def test_invitations_and_larger_tables() -> None:
    house = House()
    match = house.offer(game="eights", seats=3, invited=(account(1), account(2)))
    assert fault(house.accept(match, 3)) == "not-seated"
    house.accept(match, 1)
    assert [to for to, _ in house.told(G.Open)] == [account(0), account(1)]
    house.ask(2, G.Decline(match))
    assert [to for to, _ in house.told(G.Closed)] == [account(0), account(1), account(2)]
    assert house.hall.sits == {}
    assert fault(house.ask(1, G.Accept(bytes(32), (KEYS[1].public,), bytes(32)))) == "other-match"
    match = house.offer()
    assert fault(house.ask(1, G.Accept(match, (KEYS[2].public,), bytes(32)))) == "malformed"


def test_statements() -> None:
    house = House()
    match = house.begin()
    assert fault(house.says(match, 1, Kind.MOVE, "0")) == "out-of-turn"
    assert fault(house.says(match, 0, Kind.MOVE, "9")) == "illegal"
    move = house.statement(match, 0, Kind.MOVE, "0")
    assert isinstance(move, G.Statement)
    assert fault(house.ask(0, G.Resign(match, move.signed))) == "malformed"
    assert fault(house.ask(0, G.Move(match, b"\xc1"))) == "malformed"
    assert isinstance(house.ask(0, move)[0], G.Entry)
    assert fault(house.ask(0, move)) == "duplicate"
    other = Statement(match, 0, open_signed(decode_struct(move.signed, Signed), Statement).previous, Kind.MOVE, 0, "1")
    house.ask(0, G.Move(match, encode_struct(sign(other, KEYS[0]))))
    assert [to for to, _ in house.told(G.Cheat)] == [account(0), account(1)]
    stranger = house.statement(match, 1, Kind.MOVE, "1", SigningKey(b"x" * 32))
    assert fault(house.ask(1, stranger)) == "not-seated"
    with pytest.raises(TypeError):
        house.ask(0, Request(method="no"))


def test_hidden_things_go_to_their_player_only() -> None:
    house = House()
    match = house.begin(game="eights", clock="none")
    seen = {to: said.seen for to, said in house.told(G.Start)}
    assert seen[account(0)] != seen[account(1)]
    turn = house.hall.referee.games["eights"].turn(house.hall.tables[match].log.match.state)[0]  # type: ignore[union-attr]
    house.says(match, turn, Kind.MOVE, "draw")
    told = dict(house.told(G.Entry))
    assert told[account(0)].seen != told[account(1)].seen
    assert told[account(0)].salt != told[account(1)].salt


def test_rematch_fetch_and_time() -> None:
    house = House()
    match = house.begin()
    house.moves(match, "0", "3")
    assert fault(house.ask(2, G.Fetch(match))) == "not-seated"
    assert fault(house.ask(0, G.Fetch(bytes(32)))) == "other-match"
    rows = house.query("SELECT entry FROM entries WHERE match = ? ORDER BY ply", (match,))
    start, first, second = house.ask(1, G.Fetch(match), [row for (row,) in rows])
    assert isinstance(start, G.Start)
    assert [said.ply for said in (first, second) if isinstance(said, G.Entry)] == [0, 1]
    house.happens(match, Gone(account(0)))
    house.happens(match, Away(500))
    assert decode_struct(house.told(G.Entry)[0][1].entry, Entry).statement is None
    house.tick(301_000)
    assert house.hall.tables[match].phase is Phase.OVER
    proposal = house.ask(0, G.Rematch(match, (KEYS[0].public,), b"e" * 32))[0]
    assert isinstance(proposal, G.Open)
    assert [to for to, _ in house.told(G.Open)] == [account(0), account(1)]
    house.ask(1, G.Rematch(match, (KEYS[1].public,), b"f" * 32))
    assert proposal.match in house.hall.tables
    genesis = house.hall.tables[proposal.match].log.genesis  # type: ignore[union-attr]
    assert (genesis.commitment, genesis.rematch_of) == (proposal.commitment, match)


def test_watching(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    match = house.begin()
    assert house.ask(2, G.Watch(match)) == []
    assert fault(house.ask(1, G.Watch(match))) == "not-here"
    assert fault(house.ask(2, G.Watch(bytes(32)))) == "other-match"
    house.moves(match, "4")
    assert [show.seen[:3] for show in house.hall.shows[match]] == [b"...", b"..."]
    monkeypatch.setattr(L, "GAME_WATCHED_MAX", 1)
    other = house.begin()
    assert fault(house.ask(2, G.Watch(other))) == "too-long"
    house.ask(2, G.Watch(match, True))
    assert house.hall.watchers == {}


def test_a_round_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from extensions.games import bounds

    monkeypatch.setattr(bounds, "SAYS", 3)
    house = House()
    for _ in range(3):
        house.begin()
    house.tick(L.GAME_START_MS + 5000)
    assert house.hall.statistics().playing == 2
    assert isinstance(house.round(), Round)
    house.tick(1)
    house.tick(1)
    assert house.hall.statistics().playing == 0


def seek(house: House, number: int, **changes: object) -> list[Body]:
    values = {
        "game": "chess", "clock": "300+3", "devices": (KEYS[number].public,), "entropy": bytes([number + 97]) * 32
    }  # fmt: skip
    return house.ask(number, G.Seek(**(values | changes)))  # type: ignore[arg-type]


async def test_seeking() -> None:
    house = House()
    assert seek(house, 0) == []
    assert fault(seek(house, 1, clock="soon")) == "bad-parameters"
    assert fault(seek(house, 1, game="go fish")) == "bad-parameters"
    assert fault(seek(house, 1, devices=(KEYS[2].public,))) == "malformed"
    hall = house.again()
    await hall.load()
    assert list(hall.seekers) == [account(0)]
    (opened,) = seek(house, 1)
    assert isinstance(opened, G.Open)
    assert [to for to, _ in house.told(G.Open)] == [account(0), account(1)]
    assert (opened.players, house.hall.seekers) == ((account(0),), {})
    assert house.query("SELECT * FROM seeks") == []
    house.accept(opened.match)
    house.says(opened.match, 0, Kind.RESIGN)
    balances = [house.round().standings.balance(account(number), "chess") for number in (0, 1)]
    assert sorted(balances) == [-1, 1]
    first = balances.index(1)
    for number in (0, 1):
        seek(house, number)
    match = house.told(G.Open)[0][1].match
    house.accept(match)
    assert house.hall.tables[match].players[0].account == account(1 - first)


def test_bands_that_widen_meet_in_time() -> None:
    house = House()
    house.db.execute("INSERT INTO ratings VALUES (?, 'chess', 1800, 60, 0.06, 9)", (account(0),))
    assert seek(house, 0) == seek(house, 1) == []
    assert seek(house, 2, game="go") == []
    assert house.ask(2, G.Seek(game="go", clock="none", off=True, devices=(KEYS[2].public,), entropy=bytes(32))) == []
    assert house.hall.next_ms() == house.hall.pair_ms
    house.now_ms += 60_000
    round_ = house.round()
    round_.pair()
    house.commit(round_)
    assert [to for to, _ in house.told(G.Open)] == [account(0), account(1)]
    assert house.hall.next_ms() == house.now_ms + 30_000
