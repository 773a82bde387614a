"""A worker that rolls dice: ask it with `ext.request` "roll", add it to a conversation with its handle, `dice`.

    python examples/dice.py --relay ws://127.0.0.1:8790/ws --data DIR

Start it twice with the same DIR and two processes share its conversations; kill one, and the other finishes its jobs.
"""

import random

import msgspec
import trio

from extensions.jobs import Job
from extensions.program import run
from extensions.worker import Worker
from protocol.messages.ext import Reply, Request

worker = Worker(
    "dice",
    consumes=("ext.request",),
    produces=("ext.reply",),
    keeps="how many dice each account has rolled",
    trust="that its dice are fair: you cannot check it",
    tables="CREATE TABLE IF NOT EXISTS rolls (account BLOB PRIMARY KEY, count INTEGER)",
)
COUNT = "INSERT INTO rolls VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1"


@worker.on(Request)
async def roll(job: Job[Request]) -> None:
    wanted = msgspec.msgpack.decode(job.body.params, type=dict[str, int])
    worker.log.info("rolling for %s", job.key.hex())
    await trio.sleep(wanted.get("ms", 0) / 1000)  # they roll for a while
    job.execute(COUNT, job.account)
    eyes = random.Random(job.key).randint(1, wanted["sides"])  # the same however often this job is run
    await job.reply(Reply(result=msgspec.Raw(msgspec.msgpack.encode(eyes))))


if __name__ == "__main__":
    run(worker)
