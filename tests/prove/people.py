"""``make prove-people``: what people and bot authors use daily."""

from __future__ import annotations

import sys
from functools import partial

import trio

from tests.support import admission_proof, devices_proof, files_proof, workers_proof
from tests.support.conformance_proof import b10_other_language
from tests.support.fuzz_proof import fuzz_minutes
from tests.support.proof import Proof, parser_of
from tests.support.reports_proof import c10_report
from tests.support.spine import installs, suites
from tests.support.strangers_proof import c6_stranger

BOT_SCENARIOS = ("tests/clients/bot/test_scenarios.py", "tests/examples")
INPUT_CLASSES = ("tests/relay/test_input_classes.py", "tests/relay/test_input_table.py")
FUZZ = ("tests/fuzz",)


async def run(seed: int, mib: int, minutes: float, only: str) -> int:
    """Every promise that exists by now; the exit code."""
    proof = Proof("people", seed, only)
    await proof.show("the base install runs the echo bot", partial(installs.echo_bot_on_the_base_install, seed))
    await proof.show("B1-B7 bots", partial(suites.passed, BOT_SCENARIOS))
    await proof.show("B10 a client in another language", partial(b10_other_language, seed))
    await proof.show("C5 a second device", partial(devices_proof.c5_second_device, seed))
    await proof.show("C6 a stranger", partial(c6_stranger, seed))
    await proof.show("the only device lost and recovered", partial(devices_proof.sole_device_lost, seed))
    await proof.show("C10 a report and a doctored one", partial(c10_report, seed))
    await proof.show(f"a file of {mib} MiB, the relay killed", partial(files_proof.big_file, seed, mib))
    await proof.show("a file, the clients killed", partial(files_proof.client_killed, seed))
    await proof.show("quota and retention of files", partial(files_proof.quota_and_retention, seed))
    await proof.show("O2 check-config", partial(admission_proof.o2_check_config, seed))
    await proof.show("O7 sockets that never read", partial(admission_proof.o7_sockets_that_never_read, seed))
    await proof.show("200 that never read and 20 floods", partial(admission_proof.flood, seed))
    await proof.show("O8 bad input", partial(admission_proof.o8_bad_input, seed))
    await proof.show("O9 ban, quota, retention, restore", partial(admission_proof.o9_ban_quota_retention, seed))
    await proof.show("input classes", partial(suites.passed, INPUT_CLASSES))
    await proof.show("B8 a worker dies in the middle of jobs", partial(workers_proof.b8_worker_dies, seed))
    await proof.show("B9 a worker that was not added", partial(workers_proof.b9_not_added, seed))
    await proof.show("a worker that dies at each start", partial(workers_proof.crash_loop, seed))
    await proof.show("a job that never ends", partial(workers_proof.never_answers, seed))
    await proof.show("fuzz tests", partial(suites.passed, FUZZ))
    await proof.show(f"fuzzing for {minutes:g} minutes", partial(fuzz_minutes, seed, minutes))
    return proof.conclude()


def main() -> int:
    """Read the command line and run."""
    parser = parser_of("people", __doc__)
    parser.add_argument("--mib", type=int, default=200, help="size of the large file")
    parser.add_argument("--fuzz-minutes", type=float, default=10, help="how long to fuzz")
    arguments = parser.parse_args()
    return trio.run(run, arguments.seed, arguments.mib, arguments.fuzz_minutes, arguments.only)


if __name__ == "__main__":
    sys.exit(main())
