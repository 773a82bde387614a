"""Every behaviour that the Autobahn testsuite checks (groups 1 to 7, 9, 10), of our server, in three cuts of its bytes.

The cases know nothing of our code (`tests.support.rfc6455`): the same run over sockets against a relay.
"""

from __future__ import annotations

import pytest

from protocol import limits
from protocol.websocket import Server, State, Text, frame, text_frame
from tests.support.rfc6455 import ALL, Case, Outcome, client_frame, play, verdict
from tests.support.rfc6455.performance import REFUSABLE

OCTETWISE_BYTES_MAX = 4096  # larger cases are not cut into single octets: seconds for nothing new


class Echo:
    """`rfc6455.Endpoint` over our server."""

    def __init__(self) -> None:
        self.server = Server(accepts_text=True)

    def feed(self, data: bytes) -> bytes:
        messages = self.server.receive(data)
        echoes = [text_frame(data) if isinstance(data, Text) else frame(data) for data in messages]
        control = self.server.outgoing()
        if self.server.state is State.OPEN:
            return b"".join([control, *echoes])  # pongs first, as section 5.5.2 would have it
        return b"".join([*echoes, control])  # the close frame last

    def end(self) -> bytes:
        assert self.server.state is State.CLOSED
        return self.server.outgoing()


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_case(case: Case) -> None:
    assert verdict(case, play(case, Echo())) is None, case.what


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_case_in_other_writes(case: Case) -> None:
    assert verdict(case, play(case, Echo(), chop=case.size)) is None
    assert verdict(case, play(case, Echo(), chop=1 if case.size <= OCTETWISE_BYTES_MAX else 1009)) is None


def test_every_group_is_there() -> None:
    groups = {case_id.rpartition(".")[0] for case_id in ALL}
    assert groups >= {"1.1", "1.2", "2", "3", "4.1", "4.2", "5", "7.1", "7.3", "7.5", "7.7", "7.9", "7.13", "10.1"}
    assert groups >= {f"6.{number}" for number in range(1, 24)} | {f"9.{number}" for number in range(1, 9)}
    assert all(f"5.{number}" in ALL for number in range(1, 21))
    assert len(ALL) > 290


def test_what_is_refused_for_its_fragments_is_over_our_bound() -> None:
    assert REFUSABLE == limits.WEBSOCKET_FRAGMENTS_MAX


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome(((1, b"x"),), (), (1000,), True), None),
        (Outcome(((1, b"x"),), (), (), True), r"closed with \(\)"),
        (Outcome(((1, b"x"),), (), (1000, 1000), True), "closed with"),
        (Outcome(((1, b"x"),), (), (1002,), True), "closed with"),
        (Outcome(((1, b"x"),), (), (1000,), False), "after the close frame"),
        (Outcome((), (), (1000,), True), "0 echoes, wanted 1"),
        (Outcome(((2, b"x"),), (), (1000,), True), "their bytes differ"),
        (Outcome(((1, b"x"),), (b"p",), (1000,), True), "pongs"),
    ],
)
def test_the_judge_sees_what_is_wrong(outcome: Outcome, says: str | None) -> None:
    case = Case("0", "for the judge", (client_frame(1, b"x"),), ((1, b"x"),))
    found = verdict(case, outcome)
    assert (found is None) if says is None else (found is not None and says.replace("\\", "") in found)
