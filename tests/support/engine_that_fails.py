"""A process for the sandbox that does what engines must not do."""

from __future__ import annotations

import os
import signal
import sys

import msgspec


def main() -> None:
    """Answer requests, crash or hang."""
    while len(head := sys.stdin.buffer.read(4)) == 4:
        verb, *arguments = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(head, "big")))
        if verb == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if verb == "hang":
            signal.pause()
        answer = [None, "not like this"] if verb == "refuse" else [arguments, ""]
        body = msgspec.msgpack.encode(answer)
        sys.stdout.buffer.write(len(body).to_bytes(4, "big") + body)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
