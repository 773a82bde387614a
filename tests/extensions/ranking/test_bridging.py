"""Matrix factorization: what both sides find helpful, and only that."""

from __future__ import annotations

import numpy as np
import pytest

from extensions.ranking.bridging import HELPFUL, Fit, Ints, Table, dense, fit, predict
from tests.support.birdwatch import load
from tests.support.vectors import vector_path


def town(seed: int = 3, noise: float = 0.05) -> Table:
    """60 raters of two sides; notes 0–9 help all, 10–24 please one side, 25–39 the other, 40–49 nobody."""
    random = np.random.Generator(np.random.PCG64(seed))
    raters, notes, values = [], [], []
    for rater in range(60):
        for note in random.permutation(50)[:25]:
            side = rater % 2
            good = note < 10 or (10 <= note < 25 and side == 0) or (25 <= note < 40 and side == 1)
            raters.append(rater)
            notes.append(int(note))
            values.append(float(good != (random.random() < noise)))
    return Table(np.array(raters), np.array(notes), np.array(values), 60, 50)


def test_an_intercept_is_high_only_where_both_sides_agree() -> None:
    model = fit(town())
    assert model.note_intercepts[:10].min() > HELPFUL
    assert model.note_intercepts[10:].max() < HELPFUL
    assert np.sign(model.rater_factors[::2]).sum() * np.sign(model.rater_factors[1::2]).sum() < 0


def test_starts_agree_and_the_sign_is_fixed() -> None:
    one, other = fit(town(), seed=1), fit(town(), seed=2)
    assert np.corrcoef(one.note_intercepts, other.note_intercepts)[0, 1] > 0.99
    assert np.corrcoef(one.rater_factors, other.rater_factors)[0, 1] > 0.9
    assert np.sign(one.rater_factors).sum() >= 0


def test_equal_input_gives_equal_bits() -> None:
    assert fit(town(), seed=5).note_intercepts.tobytes() == fit(town(), seed=5).note_intercepts.tobytes()


def flipped(model: Fit) -> Fit:
    return Fit(
        model.mean,
        model.rater_intercepts,
        -model.rater_factors,
        model.note_intercepts,
        -model.note_factors,
        model.loss,
        model.rounds,
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_warm_start_is_short_and_keeps_the_names_of_the_sides(sign: int) -> None:
    table = town()
    cold = fit(table)
    cold = cold if sign > 0 else flipped(cold)
    grown = Table(table.raters, table.notes, table.values, table.rater_count + 2, table.note_count + 1)
    warm = fit(grown, warm=cold.renumbered([*range(60), -1, -1], [*range(50), -1]))
    assert warm.rounds < 15
    assert len(warm.note_factors) == 51
    assert np.corrcoef(warm.rater_factors[:60], cold.rater_factors)[0, 1] > 0.99


def test_nothing_rated_gives_zeros() -> None:
    none: Ints = np.zeros(0, dtype=np.int64)
    model = fit(Table(none, none, np.zeros(0), 2, 3))
    assert not model.note_intercepts.any()
    assert not dense(none, none).size


def test_the_published_minima_are_applied_until_nothing_falls_out() -> None:
    table = town()
    raters = np.concatenate((table.raters, np.full(9, 60)))  # nine ratings are one too few
    notes = np.concatenate((table.notes, np.r_[np.arange(5), 50, 50, 50, 50]))  # and so are four of a note
    kept = dense(raters, notes)
    assert kept[: len(table.raters)].all()
    assert not kept[len(table.raters) :].any()


def test_20_percent_of_one_sided_strangers_lift_nothing() -> None:
    table = town()
    size = len(table.raters)
    target, sybils = 12, 15  # a note that pleases one side; 15 of 75 raters are bought
    raters, notes, values = list(table.raters), list(table.notes), list(table.values)
    for sybil in range(sybils):
        for note in (target, *range(10, 22)):  # they praise that side's notes, as true partisans do
            raters.append(60 + sybil)
            notes.append(note)
            values.append(1.0)
    bought = Table(np.array(raters), np.array(notes), np.array(values), 75, 50)
    assert len(raters) > size
    assert fit(bought).note_intercepts[target] < HELPFUL


def test_real_ratings_are_predicted_and_starts_agree() -> None:
    data = load(vector_path("birdwatch/ratings-00000.tsv").parent)
    cut = int(len(data.values) * 0.8)
    table = data.first(cut)
    model = fit(table, seed=1)
    guess = predict(model, table, data.raters[cut:], data.notes[cut:], data.authors)
    mse = float(((guess - data.values[cut:]) ** 2).mean())
    base = float(((table.values.mean() - data.values[cut:]) ** 2).mean())
    assert mse <= 0.220 < base
    again = fit(table, seed=2, starts=1)
    assert np.corrcoef(model.note_intercepts, again.note_intercepts)[0, 1] >= 0.98
