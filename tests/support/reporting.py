"""An operator for tests: a key, a relay model that takes reports, and something worth reporting."""

from __future__ import annotations

from clients.client import Client
from clients.conversations import Conversation
from clients.events import Received
from protocol.reports import Report, public_of, unseal
from protocol.requests import GetReportKey, PostReport
from tests.support.clients import World, events_of, group_of, say
from tests.support.relay_model import Wire

PRIVATE = bytes(range(1, 33))
PUBLIC = public_of(PRIVATE)


def take_reports(world: World) -> list[Report]:
    """The relay takes reports from now on; they come out opened."""
    posted: list[Report] = []

    def give_key(wire: Wire, params: GetReportKey) -> bytes:
        return PUBLIC

    def take(wire: Wire, params: PostReport) -> int:
        assert params.key == PUBLIC
        posted.append(unseal(params.sealed, PRIVATE))
        return len(posted)

    world.relay.answer["reports.key"], world.relay.answer["reports.post"] = give_key, take
    return posted


async def scene(world: World, *texts: str) -> tuple[list[Client], Conversation, list[int]]:
    """Anna (who spoke), Ben and Carol in a group; the offsets of what Anna said."""
    clients, talk = await group_of(world, "anna", "ben", "carol")
    await say(talk, *texts)
    await world.settle()
    return clients, talk, [event.offset for event in events_of(clients[1], Received, talk.topic)]
