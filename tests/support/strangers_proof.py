"""A stranger's first message, a block and room in inboxes, with a real relay process and real clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import trio

from clients import records as R
from clients.client import Client, open_client
from clients.connection import Refusal
from clients.events import Delivered, Stored
from clients.records import Status
from clients.vault import Secret, Vault
from protocol.errors import Code
from protocol.frames import AnyFrame, Evt, Flag, Msg, Pub, SubResult
from protocol.ids import inbox_topic, new_id
from protocol.limits import INBOX_STRANGERS_MAX
from protocol.requests import ClaimedPackage, ClaimKeyPackages, GetHeads, GetLists, GetMembers
from tests.support.devices_proof import told, until
from tests.support.proof import check
from tests.support.spine.talks import open_person, open_relay_process, says, wait_for

LATENCIES = 60  # messages to each; their medians are compared
LATENCY_RATIO_MAX = 2.0  # between medians: two processes on a busy machine differ by less


@asynccontextmanager
async def open_careful(home: Path, name: str, url: str) -> AsyncIterator[Client]:
    """A person whose client asks about strangers."""
    vault = Vault(home / name / "vault.db", Secret.key_file(home / name / "vault.key"))
    try:
        async with open_client(url, vault, requests=True) as client:
            await client.wait_connected()
            if client.engine.shelf.identity.handle is None:
                await client.claim_handle(name)
            yield client
    finally:
        vault.close()


async def c6_stranger(seed: int) -> dict[str, Any]:
    """A stranger's message lands in requests; blocked, the stranger cannot tell it from absence."""
    with TemporaryDirectory(prefix="chappe-prove-") as temporary:
        home = Path(temporary)
        async with open_relay_process(home) as relay, open_person(home, "eve", relay.url) as eve:
            async with open_careful(home, "away", relay.url) as away:
                gone, token = away.account, await away.invite()
                await until(away, lambda: token in away.engine.shelf.identity.published_tokens, "the token")
            async with open_careful(home, "alice", relay.url) as alice:
                topic = (await eve.pair(alice.account)).topic
                await eve.conversation(topic).send("do you know me?")
                await wait_for(alice, says("do you know me?"), "the stranger's message")
                check(alice.conversation(topic).status == Status.REQUEST, "a stranger's conversation is no request")
                alice.conversation(topic).typing()
                await alice.block(eve.account)
                absent = (await eve.pair(gone)).topic
                await eve.conversation(absent).send("do you know me?")
                latencies = await _alike(eve, (alice.account, topic), (gone, absent))
                check(len(await told(alice, topic)) == 1, "a message of the blocked stranger was shown")
            room = await _room(home, relay.url, eve, gone, token)
            await _known(home, relay.url, eve)
        return {"first message": "a request", "blocked": "as absent, in every answer", **latencies, **room}


async def _alike(eve: Client, blocked: tuple[bytes, bytes], absent: tuple[bytes, bytes]) -> dict[str, Any]:
    """Whatever a stranger hears about who blocked it and about who is away: the same frames, answers and times."""
    frames: dict[bytes, list[tuple[str, int]]] = {blocked[1]: [], absent[1]: []}
    events: list[str] = []
    pass_on, topics = eve.engine.frame, eve.engine.tids
    await until(eve, lambda: not eve.engine.shelf.outgoing, "both conversations to be founded")
    await trio.sleep(1)  # real time: what founding brings with it is over

    def note(frame: AnyFrame) -> None:
        topic = topics.get(getattr(frame, "tid", 0), b"")
        if topic in frames:
            frames[topic].append((type(frame).__name__, frame.flags if isinstance(frame, Msg) else 0))
        elif isinstance(frame, Evt):
            events.append(frame.name)
        pass_on(frame)

    setattr(eve.engine, "frame", note)  # noqa: B010 - a witness in between, for this proof only
    times: dict[bytes, list[float]] = {blocked[1]: [], absent[1]: []}
    for number in range(LATENCIES):
        for topic in (blocked[1], absent[1])[:: 1 if number % 2 else -1]:  # being second is no advantage
            times[topic].append(await _stored_ms(eve, topic, f"hello {number}?"))
            eve.conversation(topic).typing()
    await trio.sleep(2)  # real time: whatever would be answered comes within milliseconds
    setattr(eve.engine, "frame", pass_on)  # noqa: B010
    check(frames[blocked[1]] == frames[absent[1]], f"other frames came: {frames}")
    check(not events, f"the relay told of {events}")
    views = [_view(eve, topic) for _, topic in (blocked, absent)]
    check(views[0] == views[1] and not views[0][2], f"the conversations look different: {views}")
    answers = [await _answers(eve, *who) for who in (blocked, absent)]
    check(answers[0] == answers[1], f"the relay answers differently: {answers}")
    there, away = median(times[blocked[1]]), median(times[absent[1]])
    check(max(there, away) < LATENCY_RATIO_MAX * min(there, away) + 1, f"{there:.1f} ms if blocked, {away:.1f} if away")
    return {"frames compared": len(frames[absent[1]]), "stored in ms, blocked / away": f"{there:.1f} / {away:.1f}"}


async def _stored_ms(client: Client, topic: bytes, text: str) -> float:
    """Milliseconds from saying something to the relay's OK."""
    after = client.engine.shelf.vault.last_seq()
    began = trio.current_time()
    message_id = await client.conversation(topic).send(text)
    async for event in client.events(after):
        if isinstance(event, Stored) and event.id == message_id:
            break
    return (trio.current_time() - began) * 1000


def _view(client: Client, topic: bytes) -> tuple[Any, ...]:
    """What somebody can tell of the others in a conversation: its log, its epoch, what was acknowledged, who is in."""
    record = client.conversation(topic).record
    return record.cursor, record.fence, dict(record.delivered), sorted(record.roster.values()), record.status


async def _answers(eve: Client, account: bytes, topic: bytes) -> list[object]:
    """What the relay says when asked about an account in every way there is, without what differs for any two."""
    link = await eve.wait_connected()
    claims = await _claim(eve, account)
    (signed,) = await link.ask("devices.get", GetLists((account,)), list[bytes | None])
    heads = await link.ask("topics.heads", GetHeads((inbox_topic(account), topic)), list[SubResult])
    members = await link.ask("topics.members", GetMembers(topic), list[tuple[bytes, int]])
    posted = [await _post(eve, account) for _ in range(5)]
    return [
        [claim.last_resort for claim in claims], None if signed is None else len(signed),
        [(head.code, head.head, head.generation, head.fence) for head in heads],
        sorted(role for _, role in members), posted,
    ]  # fmt: skip


async def _post(client: Client, account: bytes, token: bytes | None = None) -> int:
    """Put something into somebody's inbox; the code of the answer, 0 for OK."""
    shelf = client.engine.shelf
    message_id = new_id(shelf.clock_ms(), shelf.entropy)
    pub = Pub(0, inbox_topic(account), message_id, flags=int(Flag.SEALED), body=shelf.entropy(256), token=token)
    try:
        await (await client.wait_connected()).call(pub)
    except Refusal as error:
        return int(error.code)
    return 0


async def _room(home: Path, url: str, eve: Client, away: bytes, token: bytes) -> dict[str, Any]:
    """Strangers fill their part of an inbox, and only that: who shows a token still gets through."""
    codes = [await _post(eve, away) for _ in range(INBOX_STRANGERS_MAX + 5)]
    check(codes[-1] == Code.QUOTA, f"a stranger may go on for ever: {codes[-1]}")
    taken = codes.index(Code.QUOTA)
    check(set(codes[:taken]) == {0}, f"refused with {set(codes)}")
    check(await _post(eve, away, b"no token of it!!") == Code.QUOTA, "a made-up token counts")
    async with open_person(home, "friend", url) as friend:
        check(await _post(friend, away) == Code.QUOTA, "another stranger finds room")
        friend.engine.shelf.save_token(R.Token(away, token))
        talk = await friend.pair(away)
        await talk.send("there is room for me")
        await until(friend, lambda: talk.status == Status.ACTIVE, "room for a contact")
    return {"strangers' part of an inbox": INBOX_STRANGERS_MAX, "beyond it": "507, contacts get through"}


async def _claim(client: Client, account: bytes) -> list[ClaimedPackage]:
    params = ClaimKeyPackages((account,))
    return await (await client.wait_connected()).ask("keypackages.claim", params, list[ClaimedPackage])


async def _known(home: Path, url: str, eve: Client) -> None:
    """With an invitation the first message is none of a stranger, and is acknowledged."""
    async with open_careful(home, "bob", url) as bob:
        token = await bob.invite()
        await until(bob, lambda: token in bob.engine.shelf.identity.published_tokens, "the token at the relay")
        eve.engine.shelf.save_token(R.Token(bob.account, token))
        topic = (await eve.pair(bob.account)).topic
        await eve.conversation(topic).send("you invited me")
        await wait_for(bob, says("you invited me"), "the message of who was invited")
        check(bob.conversation(topic).status == Status.ACTIVE, "an invitation made a request")
        await wait_for(eve, lambda event: isinstance(event, Delivered) and event.topic == topic, "a receipt")
