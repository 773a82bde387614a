"""A player that takes every offer, and plays at random (depth 0) or looks some moves ahead.

python examples/player.py ws://127.0.0.1:8790/ws DIR rookie 2
/play connectfour @rookie          (in a chat)
"""

import random
import sys
from pathlib import Path

import trio

from clients.client import Client, open_client
from clients.games import GameError, State
from clients.vault import Secret, Vault
from protocol.rules.base import AnyRules
from protocol.rules.games import GAMES


def value(rules: AnyRules, state: object, seat: int, depth: int) -> float:
    """What a state is worth to a seat of two, looking ``depth`` moves ahead: 1 won, −1 lost."""
    result, turn = rules.result(state), rules.turn(state)
    if result is not None:
        return result.points[seat] - 1
    if depth == 0 or turn not in ((0,), (1,)):
        return 0.0
    after = [value(rules, rules.apply(state, *turn, a), seat, depth - 1) for a in rules.actions(state, *turn)]
    return 0.99 * (max(after) if turn == (seat,) else min(after))  # better now than later


async def look(client: Client, match: bytes, depth: int) -> None:
    """Move, if it is our turn."""
    position, known = client.games.position(match), client.games.book.follow(client.games.record(match)).match
    if position.legal:
        legal = random.sample(position.legal, len(position.legal))  # chance decides among equals
        if known is not None and depth:  # not where cards are hidden: there is nothing to look ahead in
            rules, seat = GAMES[position.game], position.seat
            legal.sort(key=lambda a: -value(rules, rules.apply(known.state, seat, a), seat, depth - 1))
        try:
            await client.games.move(match, legal[0])
        except GameError as error:
            print(f"{match.hex()[:8]}: {error}")


async def main(url: str, data: Path, handle: str, depth: int) -> None:
    """Connect, accept and move, for ever."""
    async with open_client(url, Vault(data / "vault.db", Secret.key_file(data / "vault.key"))) as client:
        await client.claim_handle(handle)
        while True:
            seen = client.games.version
            for record in client.games.matches:
                if record.state == State.INVITED:
                    await client.games.accept(record.match)
                if record.state == State.PLAYING and record.said is None and not record.shape:
                    await look(client, record.match, depth)
            await client.games.changed(seen)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
