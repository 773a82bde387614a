"""What is promised about the ranker: quality on real data, bridging, speed, memory, arithmetic that anybody checks."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from extensions.ranking import bounds as B
from extensions.ranking.bridging import HELPFUL, Fit, Table, fit, predict
from extensions.ranking.datasets import Data, load
from extensions.ranking.evaluation import Protocol, evaluate
from extensions.ranking.events import AnyEvent, Kind, Post, Signal, Tick, from_bytes, to_bytes
from extensions.ranking.judgements import Rules
from extensions.ranking.ranker import Ranker, Settings
from extensions.ranking.shipping import model_of, personal_of
from protocol.scoring.local import rank_locally
from protocol.scoring.page import Page, check_page
from protocol.scoring.score import Slider
from tests.support import birdwatch
from tests.support.proof import NotRun, Proof, check
from tests.support.ranking_memory import memory
from tests.support.ranking_population import live
from tests.support.vectors import vectors_dir

Figures = dict[str, Any]
NOW: Final = 1_700_000_000_000
NDCG_MIN, RECALL_MIN = 0.125, 0.345
LIVES: Final = 12  # of the simulated population, at either end: one differs from the next by ±0.06
_KINDS: Final[tuple[Kind, ...]] = (
    *("view", "view", "view"),  # three in ten are looks
    *("dwell", "like", "share", "reply", "hide", "finish", "open"),
)


# -- quality ----------------------------------------------------------------------------------------------------------


def _films() -> Data:
    given = os.environ.get("CHAPPE_MOVIELENS", "")
    if not given or not Path(given).is_file():
        raise NotRun("set CHAPPE_MOVIELENS to the path of u.data of MovieLens-100k, which may not be passed on")
    return load(Path(given), "movielens")


async def movielens_prequential() -> Figures:
    """The whole stream, everything not had is ranked before each event: NDCG@10 and Recall@20, mean over readers."""
    data = _films()
    check(len(data.interactions) == 100_000 and len(data.items) == 1682, "this is not MovieLens-100k")
    found = evaluate(data, "chappe", "prequential")
    check(found.ndcg_readers >= NDCG_MIN, f"NDCG@10 {found.ndcg_readers:.4f}, promised {NDCG_MIN}")
    check(found.recall_readers >= RECALL_MIN, f"Recall@20 {found.recall_readers:.4f}, promised {RECALL_MIN}")
    return {
        "NDCG@10": round(found.ndcg_readers, 4),
        "Recall@20": round(found.recall_readers, 4),
        "mean over events": f"{found.ndcg:.4f}/{found.recall:.4f}",
        "coverage": round(found.coverage, 3),
    }


async def movielens_beside(protocol: Protocol) -> Figures:
    """One split, all baselines in the same run: the same configuration beats each of them."""
    data = _films()
    figures: Figures = {}
    for name in ("popularity", "recent", "cosine", "ease", "chappe"):
        found = evaluate(data, name, protocol)
        figures[name] = f"{found.ndcg_readers:.4f}/{found.recall_readers:.4f}"
        figures[f"{name}, new"] = f"readers {found.ndcg_new_readers:.4f}, items {found.ndcg_new_items:.4f}"
    best = max(float(str(told).partition("/")[0]) for name, told in figures.items() if "/" in told and name != "chappe")
    check(float(str(figures["chappe"]).partition("/")[0]) > best, f"a baseline is better: {figures}")
    return figures


# -- bridging ---------------------------------------------------------------------------------------------------------


def _ratings() -> birdwatch.Ratings:
    folder = vectors_dir() / "birdwatch"
    if not (folder / "ratings-00000.tsv").is_file():
        raise NotRun("set CHAPPE_VECTORS to the folder of published vectors")
    return birdwatch.load(folder)


def _error(data: birdwatch.Ratings, model: Fit, first: int, end: int, authors: np.ndarray[Any, Any]) -> float:
    """Mean squared error on the ratings between, of a model of all before them."""
    guessed = predict(model, data.first(first), data.raters[first:end], data.notes[first:end], authors)
    return float(((guessed - data.values[first:end]) ** 2).mean())


async def bridging_predicts(seed: int) -> Figures:
    """Held-out last fifth of the real ratings; random starts agree; a refit takes under a second."""
    data = _ratings()
    cut = int(len(data.values) * 0.8)
    table, held = data.first(cut), data.values[cut:]
    model = fit(table, seed=seed)
    error = _error(data, model, cut, len(data.values), data.authors)
    base = float(((table.values.mean() - held) ** 2).mean())
    nobody = np.arange(len(data.authors))  # every note has an author of its own, so no author's mean tells anything
    earlier = int(len(data.values) * 0.64), cut  # the same split within what is not held out: there it was chosen
    inner = fit(data.first(earlier[0]), seed=seed)
    with_, without = (_error(data, inner, *earlier, authors) for authors in (data.authors, nobody))
    whole = data.first(len(data.values))
    fits = [fit(whole, seed=seed + start, starts=1) for start in range(4)]
    agreement = min(float(np.corrcoef(fits[0].note_intercepts, one.note_intercepts)[0, 1]) for one in fits[1:])
    few = data.first(5000)
    began = time.perf_counter()
    fit(few, seed=seed)
    took = time.perf_counter() - began
    check(with_ < without, f"before what is held out the author's mean does not help: {with_:.4f}, {without:.4f}")
    check(error <= 0.220, f"held-out MSE {error:.4f}, promised 0.220")
    check(agreement >= 0.98, f"starts agree by {agreement:.3f}, promised 0.98")
    check(took < 1.0, f"a refit of 5,000 ratings takes {took:.2f} s")
    return {
        "MSE": round(error, 4),
        "base": round(base, 4),
        "without authors": round(_error(data, model, cut, len(data.values), nobody), 4),
        "one split earlier, with and without authors": f"{with_:.4f}, {without:.4f}",
        "starts": round(agreement, 4),
        "refit s": round(took, 3),
    }


def _other_side(table: Table, model: Fit, chosen: np.ndarray[Any, Any]) -> float:
    """Of all who found the chosen notes helpful, the mean share of those of the smaller side."""
    shares = []
    side = model.rater_factors[table.raters] >= 0
    for note in chosen.tolist():
        mine = (table.notes == note) & (table.values > 0.5)
        if mine.any():
            share = float(side[mine].mean())
            shares.append(min(share, 1 - share))
    return float(np.mean(shares))


async def bridging_crosses(seed: int) -> Figures:
    """Notes lifted by bridging have more raters of the other side than as many notes by their mean rating."""
    data = _ratings()
    table = data.first(len(data.values))
    model = fit(table, seed=seed)
    lifted = np.flatnonzero(model.note_intercepts >= HELPFUL)
    counts = np.bincount(table.notes, minlength=table.note_count)
    means = np.bincount(table.notes, table.values, table.note_count) / np.maximum(counts, 1)
    plain = np.argsort(-(means + counts * 1e-6), kind="stable")[: len(lifted)]
    with_, without = _other_side(table, model, lifted), _other_side(table, model, plain)
    check(with_ > without, f"share of the other side {with_:.3f} with bridging, {without:.3f} without")
    return {"lifted": len(lifted), "other side": round(with_, 3), "by mean rating": round(without, 3)}


async def bridging_sybils(seed: int) -> Figures:
    """A fifth more raters, all of one side, praise one-sided notes: none of them passes the threshold by that."""
    data = _ratings()
    table = data.first(len(data.values))
    model = fit(table, seed=seed)
    one_sided = np.flatnonzero((model.note_factors > 0.5) & (model.note_intercepts < HELPFUL - 0.1))[:40]
    check(len(one_sided) >= 10, "too few one-sided notes in the data")
    sybils = table.rater_count // 5
    raters = np.concatenate((table.raters, table.rater_count + np.repeat(np.arange(sybils), len(one_sided))))
    notes = np.concatenate((table.notes, np.tile(one_sided, sybils)))
    values = np.concatenate((table.values, np.ones(sybils * len(one_sided))))
    bought = fit(Table(raters, notes, values, table.rater_count + sybils, table.note_count), seed=seed)
    lifted = int((bought.note_intercepts[one_sided] >= HELPFUL).sum())
    highest = float(bought.note_intercepts[one_sided].max())
    check(lifted == 0, f"{lifted} of {len(one_sided)} bought notes pass, the highest with {highest:.3f}")
    return {"sybils": sybils, "bought notes": len(one_sided), "lifted": lifted, "highest": round(highest, 3)}


# -- speed, memory ----------------------------------------------------------------------------------------------------


def _town(seed: int, posts: int, readers: int, signals: int, at_ms: int = NOW) -> list[AnyEvent]:
    chance = random.Random(seed)
    found: list[AnyEvent] = [
        Post(
            b"p%06d" % n,
            b"author%d" % chance.randrange(max(2, posts // 8)),
            at_ms - (posts - n) * 30_000,
            (f"tag{chance.randrange(40)}", f"side{chance.randrange(6)}"),
            words=chance.randrange(5, 200),
        )
        for n in range(posts)
    ]
    found += [
        Signal(
            b"r%d" % chance.randrange(readers),
            b"p%06d" % min(posts - 1, int(chance.expovariate(4 / posts))),
            chance.choice(_KINDS),
            float(chance.randrange(30)),
            at_ms + n * 200,
        )
        for n in range(signals)
    ]
    return found


def _lived(events: list[AnyEvent], seed: int) -> Ranker:
    ranker = Ranker(seed=seed, rules=Rules(5, 5, 3))
    for event in events:
        ranker.apply(event)
    return ranker


def _quantiles(times: list[float]) -> tuple[float, float]:
    return float(np.median(times)), float(np.quantile(times, 0.99))


async def speed(seed: int) -> Figures:
    """In one run: 1,000 candidates scored, a slate of 50 with its explanations, and an event learned.

    Processor time of this thread: what others do on the machine meanwhile is not the ranker's. Three in ten of the
    events are looks, the rest what people do with a post, one as often as the other.
    """
    ranker = _lived(_town(seed, 3000, 300, 10_000), seed)
    learner = ranker.learner
    slots = learner.catalog.slots()[: B.CANDIDATES].copy()
    reader = learner.readers.want(b"r1", 0)
    scoring, slating, learning = [], [], []
    for number in range(400):
        began = time.thread_time()
        scored = ranker.score(reader, slots, NOW, Slider())
        middle = time.thread_time()
        ranker.lay_out(scored, 50)
        slating.append(time.thread_time() - middle)
        scoring.append(middle - began)
        for event in _town(seed + 1 + number, 1, 300, 6)[1:]:
            one = msgspec.structs.replace(event, post=b"p%06d" % (number * 7))
            began = time.thread_time()
            ranker.apply(one)
            learning.append(time.thread_time() - began)
    (p50, p99), (slate, _), (learn, _) = _quantiles(scoring), _quantiles(slating), _quantiles(learning)
    check(p50 <= 1e-3, f"1,000 candidates take {p50 * 1e3:.2f} ms (median), promised 1")
    check(p99 <= 5e-3, f"1,000 candidates take {p99 * 1e3:.2f} ms (p99), promised 5")
    check(slate <= 3e-3, f"a slate of 50 takes {slate * 1e3:.2f} ms, promised 3")
    check(learn <= 200e-6, f"an event takes {learn * 1e6:.0f} µs (median), promised 200")
    return {
        "score p50 ms": round(p50 * 1e3, 3),
        "p99 ms": round(p99 * 1e3, 3),
        "slate of 50 ms": round(slate * 1e3, 3),
        "learn p50 µs": round(learn * 1e6),
        "mean µs": round(float(np.mean(learning)) * 1e6),
        "of": "processor time; 30 % looks",
    }


# -- arithmetic -------------------------------------------------------------------------------------------------------


async def explanations(seed: int) -> Figures:
    """What a reader's client computes equals the served score, for 10,000 items of random readers and sliders."""
    ranker = _lived(_town(seed, 2000, 200, 8000), seed)
    chance = random.Random(seed)
    items = triples = 0
    while items < 10_000:
        slider = Slider(chance.randrange(1001), chance.randrange(1001))
        reader, settings = b"r%d" % chance.randrange(250), Settings(slider, 50)
        page = ranker.page(reader, NOW + items, settings)
        check_page(page, ranker.weights)
        authors = [item.author for item in page.items]
        triples += sum(authors[i : i + 10].count(who) > 2 for i in range(len(authors)) for who in set(authors))
        items += len(page.items)
        if page.next is not None:
            cursor = page.ranking, page.next
            later = ranker.page(reader, NOW + items, settings, cursor)
            check_page(later, ranker.weights, ranker.above(reader, cursor))
            items += len(later.items)
    check(triples == 0, f"{triples} times an author stood more than twice among ten")
    return {"items": items, "authors more than twice in ten": triples}


async def local_is_remote(seed: int) -> Figures:
    """The reader's own device, with the shipped model, gets the ranker's order, term for term."""
    ranker = _lived([*_town(seed, 1000, 100, 6000), Tick(NOW)], seed)
    model = model_of(ranker.learner, ranker.weights, NOW)
    compared = 0
    began = time.perf_counter()
    for number in range(20):
        account, slider = b"r%d" % number, Slider(50 * number, 1000 - 50 * number)
        page: Page = ranker.rank(account, NOW, Settings(slider, explore=False))
        mine = personal_of(ranker.learner, account)
        local = rank_locally(model, mine, ranker.weights, NOW, slider=slider, places=B.RANKING_ITEMS)
        remote = [(item.post, item.facts, item.terms, item.score) for item in page.items]
        check(remote == [(item.post, item.facts, item.terms, item.score) for item in local], "the orders differ")
        compared += len(remote)
    each = (time.perf_counter() - began) / 20
    size = len(msgspec.msgpack.encode(model))
    return {"items": compared, "model KB": round(size / 1e3), "s a ranking of 1,000 posts": round(each, 3)}


async def restart(seed: int) -> Figures:
    """Snapshot and replay give the same bytes and the same pages as never having stopped."""
    log = _town(seed, 1500, 150, 6000)
    stayed = _lived(log[:5000], seed)
    began = time.perf_counter()
    data = stayed.snapshot()
    again = Ranker.restore(data, rules=Rules(5, 5, 3))
    took = time.perf_counter() - began
    for event in log[5000:]:
        stayed.apply(event)
        again.apply(from_bytes(to_bytes(event)))
    check(stayed.snapshot() == again.snapshot(), "the snapshots differ")
    for number in range(20):
        account = b"r%d" % number
        check(stayed.page(account, NOW, Settings()) == again.page(account, NOW, Settings()), "the pages differ")
    return {"snapshot MB": round(len(data) / 1e6, 1), "save and load s": round(took, 3), "replayed": len(log) - 5000}


async def population(seed: int) -> Figures:
    """Where what engages and what informs are different posts: the slider at bridging, against engagement.

    The measure is ``ranking_population``'s: mean information, and share of heat, of the posts that readers see.
    """
    ends = {
        end: [live(slider, seed=seed + turn) for turn in range(LIVES)]
        for end, slider in (("engagement", Slider(0, 0)), ("bridging", Slider(1000, 0)))
    }
    informed = {end: float(np.mean([seen.information for seen in lives])) for end, lives in ends.items()}
    heat = {end: float(np.mean([seen.heat for seen in lives])) for end, lives in ends.items()}
    check(informed["bridging"] > informed["engagement"], f"readers see no better informed posts: {informed}")
    check(heat["bridging"] < heat["engagement"], f"readers see as much heat: {heat}")
    better = sum(b.information > e.information for e, b in zip(ends["engagement"], ends["bridging"], strict=True))
    told: Figures = {end: f"information {informed[end]:.3f}, heat {heat[end]:.3f}" for end in ends}
    return {**told, "lives": LIVES, "better informed in": better}


async def show_all(proof: Proof, seed: int) -> None:
    """Every line about the ranker, for ``make prove-ranking``."""
    await proof.show("MovieLens-100k along the stream", movielens_prequential)
    for protocol in ("per-user", "global"):
        await proof.show(f"MovieLens-100k held back {protocol}", partial(movielens_beside, protocol))
    await proof.show("bridging predicts real ratings", partial(bridging_predicts, seed))
    await proof.show("bridging lifts what crosses sides", partial(bridging_crosses, seed))
    await proof.show("a fifth of sybils lifts nothing", partial(bridging_sybils, seed))
    await proof.show("the slider at bridging informs better", partial(population, seed))
    await proof.show("speed of ranking", partial(speed, seed))
    await proof.show("explanations add up", partial(explanations, seed))
    await proof.show("local and remote order", partial(local_is_remote, seed))
    await proof.show("restart from snapshot and replay", partial(restart, seed))
    await proof.show("memory at a million events", partial(memory, seed))
