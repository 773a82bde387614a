"""The behaviours that the Autobahn testsuite checks, as named cases over bytes, for any endpoint that echoes messages.

`ALL` has a case per behaviour of its groups 1 to 7, 9 and 10, under the testsuite's ids. A case is what a client sends
after the handshake, and what must come back; whoever runs it needs an `Endpoint`: over our own parser, over a socket
to a relay, over another library. Every case ends in a close frame of one side, so a run ends at the end of the stream
and needs no time-out.
"""

from __future__ import annotations

from tests.support.rfc6455 import closing, framing, performance, text
from tests.support.rfc6455.case import Case, Endpoint, Outcome, client_frame, outcome_of, play, verdict

ALL: dict[str, Case] = {
    case.id: case for group in (framing.CASES, text.CASES, closing.CASES, performance.CASES) for case in group
}

__all__ = ["ALL", "Case", "Endpoint", "Outcome", "client_frame", "outcome_of", "play", "verdict"]
