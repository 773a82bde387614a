"""A bridge between two relays: what is said in a group on one side is said in the group of the same title on the other.

    python bridge.py ws://one.example/ws ws://other.example/ws ~/bridge

Everybody should know that it is there: it reads what it carries, as any member does.
"""

import sys
from pathlib import Path

import trio

from clients.bot import Bot, in_group
from protocol.messages.chat import Text

PATIENCE = {"attempts": 1000, "back_off_s": (1, 5, 30)}  # a bridge that restarts may be away for hours

left = Bot("bridge-left", handle="bridge", hears_bots=True, **PATIENCE)
right = Bot("bridge-right", handle="bridge", hears_bots=True, **PATIENCE)


def carry(here, there):
    @here.on(Text, in_group)
    async def over(message, talk):
        name = message.contact.name if message.contact else message.account.hex()[:8]
        for other in there.client.conversations.values():
            if other.title == talk.title:
                # Under the message's id it is said once on the other side, however often this handler is run.
                await there.post(other, f"{name}: {message.text}", key=message.id)


carry(left, right)
carry(right, left)


async def main(left_url, right_url, data):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.run_at, left_url, Path(data) / "left")
        nursery.start_soon(right.run_at, right_url, Path(data) / "right")


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
