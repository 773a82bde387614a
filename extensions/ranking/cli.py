"""``chappe rank eval``: how well the ranker ranks, beside what it has to beat, on data of your own."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from extensions.ranking.evaluation import Result

command = App(name="rank", help="Ranking: evaluate the ranker on data of your own; ship its model to devices.")

EXIT_REFUSED: Final = 2
ALL_MODELS: Final = "popularity,recent,cosine,ease,chappe"
_BARS: Final = " ▁▂▃▄▅▆▇█"
_WIDTH: Final = 40


def plot(results: Sequence[Result]) -> list[str]:
    """NDCG@10 over the stream, a line for each model, and a bar for the whole of it."""
    highest = max((value for result in results for value in result.curve), default=0.0) or 1.0
    lines = ["NDCG@10 along the stream, from its beginning to its end"]
    for result in results:
        curve = "".join(_BARS[round(value / highest * (len(_BARS) - 1))] for value in result.curve)
        bar = "█" * round(result.ndcg_readers / highest * _WIDTH)
        lines.append(f"  {result.model:10} {curve}  {bar} {result.ndcg_readers:.3f}")
    return lines


def table(results: Sequence[Result]) -> list[str]:
    """All figures."""
    means = f"{'NDCG@10':>8} {'Recall@20':>9}"
    rest = f"{'coverage':>8} {'one author':>10} {'calibration error':>18}"
    head = f"{'':10} {means} | {means} | {'readers':>7} {'items':>7} | {rest}"
    lines = [f"{'':10} {'mean over readers':>18} | {'mean over events':>18} | {'NDCG@10 of new':>15} |", head]
    for one in results:
        error = "-" if one.calibration_error is None else f"{one.calibration_error:.3f}"
        lines.append(
            f"{one.model:10} {one.ndcg_readers:8.4f} {one.recall_readers:9.4f} | {one.ndcg:8.4f} {one.recall:9.4f} | "
            f"{one.ndcg_new_readers:7.4f} {one.ndcg_new_items:7.4f} | "
            f"{one.coverage:8.3f} {one.concentration:10.3f} {error:>18}"
        )
    return lines


@command.command
def ship(
    file: Annotated[Path, Parameter(help="The file to write, for `/rank model FILE ACCOUNT` on a reader's device.")],
    *,
    data: Annotated[Path, Parameter(help="The worker's directory, with worker.db; no process may have it open.")],
) -> int:
    """Write the ranker's model, signed, to a file: nothing in it is personal. Exit code 2: it cannot be done."""
    import msgspec

    from clients.client import now_ms
    from clients.records import META, Identity
    from clients.vault import VaultError
    from extensions.errors import WorkerError
    from extensions.host import open_database
    from extensions.ranking.shipments import signed_model
    from extensions.ranking.shop import Shop
    from extensions.ranking.worker import worker
    from protocol.identity import SigningKey

    if not (data / "worker.db").is_file():
        return _say(f"{data} holds no worker's database")
    try:
        with open_database(worker, data) as vault:
            identity = vault.get(META, b"identity")
            seed = None if identity is None else msgspec.msgpack.decode(identity, type=Identity).root_seed
            if seed is None:
                return _say("this database does not hold the ranker's root key, with which it signs")
            key = SigningKey(seed)
            model, signed = signed_model(Shop(vault.query), key, now_ms())
            file.write_bytes(signed)
    except (VaultError, WorkerError, OSError) as error:
        return _say(str(error))
    print(f"{file}: {len(model.posts)} posts, {len(signed) // 1000} KB, signed by {key.public.hex()}")
    return 0


@command.command(name="eval")
def evaluate(
    *,
    data: Annotated[Path, Parameter(help="The file: u.data of MovieLens-100k, or a log of events as lines of JSON.")],
    protocol: Annotated[
        Literal["prequential", "per-user", "global"],
        Parameter(help="Rank and learn along the stream; hold each reader's end back; hold the end of the time back."),
    ] = "prequential",
    format: Annotated[Literal["movielens", "events"], Parameter(help="What the file is.")] = "movielens",
    models: Annotated[str, Parameter(help="Which models, separated by commas.")] = ALL_MODELS,
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object.")] = False,
) -> int:
    """Rank everything a reader has not had, before each interaction. Exit code 2: the file cannot be read."""
    from dataclasses import asdict

    from extensions.ranking import evaluation
    from extensions.ranking.datasets import DataError, load

    wanted = [name for name in models.split(",") if name]
    unknown = sorted(set(wanted) - set(evaluation.MODELS))
    if unknown or not wanted:
        return _say(f"--models takes {', '.join(evaluation.MODELS)}, not {', '.join(unknown) or 'nothing'}")
    try:
        found = load(data, format)
    except OSError as error:
        return _say(f"{data} cannot be read: {error.strerror}")
    except (DataError, UnicodeDecodeError) as error:
        return _say(f"{data} is not of the format {format}: {error}")
    if not found.interactions:
        return _say(f"{data} holds no interactions")
    results = []
    for name in wanted:
        results.append(evaluation.evaluate(found, name, protocol, _teller(name)))
    if json:
        print(json_module.dumps({"protocol": protocol, "results": [asdict(result) for result in results]}))
        return 0
    size = f"{len(found.interactions)} interactions, {found.readers} readers, {len(found.items)} items"
    print("\n".join([f"{protocol}: {size}, {results[0].events} ranked", *table(results), "", *plot(results)]))
    return 0


def _say(text: str) -> int:
    print(f"chappe rank: {text}", file=sys.stderr)
    return EXIT_REFUSED


def _teller(name: str) -> Callable[[int, int], None]:
    """What says on a terminal how far a model is."""

    def tell(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {done} of {of}   ", end="", file=sys.stderr, flush=True)

    return tell
