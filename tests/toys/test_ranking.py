"""Teacher-equivalent steps, intervals and medians against made-up curves and scipy."""

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from reporting import read_json
from toys.benchmark.ranking import (
    SUMMARY,
    continued,
    equivalent_steps,
    medians,
    rank,
    summarise,
)
from toys.benchmark.runs import compute, plan
from toys.tasks.registry import TASKS
from toys.tasks.setting import BUDGETS

RESULTS = Path(__file__).parents[2] / "results"

HARMONIC = {1: 0.5, 2: 0.25, 4: 0.125, 8: 0.0625}
LEVELS = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8)


@given(st.floats(1.0, 256.0), st.floats(1e-3, 1.0))
def test_equivalent_steps_of_a_curve_that_falls_like_one_over_n(steps, scale):
    curve = {2**k: scale / 2**k for k in range(9)}
    value = equivalent_steps(curve, scale / steps)
    assert value.steps == pytest.approx(steps, rel=1e-9)
    assert value.bound == ""


@given(
    st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8), st.floats(1e-7, 1.0), st.floats(0, 1)
)
def test_a_smaller_distance_is_never_worth_fewer_steps(levels, tv, share):
    curve = {2**k: level for k, level in enumerate(levels)}
    worse, better = equivalent_steps(curve, tv), equivalent_steps(curve, share * tv)
    assert better.steps >= worse.steps * (1 - 1e-12)
    assert 1 <= worse.steps <= 2 ** (len(levels) - 1) * (1 + 1e-12)


@given(LEVELS, st.data())
def test_points_of_a_falling_curve_are_worth_their_own_number(levels, data):
    levels = sorted(set(levels), reverse=True)
    assume(len(levels) > 1)
    curve = {3 * k + 1: level for k, level in enumerate(levels)}
    n = data.draw(st.sampled_from(sorted(curve)))
    assert equivalent_steps(curve, curve[n]).steps == pytest.approx(n, rel=1e-9)


def test_beyond_the_ends_of_the_curve_there_are_bounds():
    assert equivalent_steps(HARMONIC, 0.6) == (1.0, "<")
    assert equivalent_steps(HARMONIC, 0.5) == (1.0, "")
    assert equivalent_steps(HARMONIC, 0.01) == (8.0, ">=")
    assert equivalent_steps(HARMONIC, 0.0) == (8.0, ">=")
    assert equivalent_steps({1: 0.5, 2: 0.0}, 0.0) == (2.0, "")
    assert equivalent_steps({1: 0.5, 2: 0.0}, 0.1) == (2.0, "")
    with pytest.raises(ValueError, match="curve"):
        equivalent_steps({}, 0.1)


def test_a_curve_that_rises_counts_from_where_it_first_gets_there():
    assert equivalent_steps({1: 0.4, 2: 0.1, 4: 0.2, 8: 0.05}, 0.1).steps == pytest.approx(2)
    assert equivalent_steps({1: 0.4, 2: 0.1, 4: 0.2, 8: 0.05}, 0.09).steps > 4


def _row(method, nfe, tv, seed=0, **other):
    row = {"task": "t", "process": "masked", "method": method, "nfe": nfe, "tv": tv, "seed": seed}
    row |= {"kl": 0.1, "captured_tc": None, "off_support": 0.0, "train_seconds": 1.0}
    row |= {"teacher": "exact"}
    return row | {"latent_refinement": 0.0, "peak_memory": 0, "latent": "-"} | other


def test_interval_is_that_of_scipy():
    values = [0.1, 0.13, 0.08, 0.11]
    (line,) = summarise(_ranked(_row("ours", 1, tv, seed) for seed, tv in enumerate(values)))
    low, high = scipy.stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values)
    )
    mean, half = line["tv"], line["tv_interval"]
    assert (mean - half, mean + half) == pytest.approx((low, high))
    (line,) = summarise(_ranked([_row("ours", 1, 0.2)]))
    assert (line["tv"], line["tv_interval"]) == (0.2, None)
    assert summarise([]) == medians([]) == []


def test_interval_covers_the_mean_as_often_as_it_says():
    """2000 sets of three Gaussian seeds; at 95 % a count outside 5 standard errors is a 6e-7."""
    draws = np.random.default_rng(3).normal(size=(2000, 3))
    rows = [
        _row("ours", 1, tv, seed, task=str(task))
        for task, tvs in enumerate(draws.tolist())
        for seed, tv in enumerate(tvs)
    ]
    hits = sum(abs(line["tv"]) <= line["tv_interval"] for line in summarise(_ranked(rows)))
    assert abs(hits - 1900) < 5 * math.sqrt(2000 * 0.95 * 0.05)


def _ranked(rows):
    """Rows as `rank` returns them, with constant values."""
    return [row | {"equivalent_steps": 1.0, "bound": "", "speed_up": 1.0} for row in rows]


def test_rank_divides_by_the_evaluations_and_summarise_averages_seeds():
    rows = [_row("teacher", n, tv) for n, tv in HARMONIC.items()]
    rows += [_row("ours", 2, 0.125, seed=0), _row("ours", 2, 0.0625, seed=1, kl=0.3)]
    ranked = rank(rows)
    assert [row["speed_up"] for row in ranked] == pytest.approx([1, 1, 1, 1, 2, 4])
    line = summarise(ranked)[-1]
    assert (line["seeds"], line["equivalent"], line["captured_tc"]) == (2, "6.0", None)
    assert (line["tv"], line["kl"], line["speed_up"]) == pytest.approx((0.09375, 0.2, 3))
    assert line["tv_interval"] == pytest.approx(
        scipy.stats.t.ppf(0.975, 1) * np.std([0.125, 0.0625], ddof=1) / math.sqrt(2)
    )
    bound = summarise(rank([*rows, _row("ours", 2, 0.0, seed=2)]))[-1]
    assert bound["equivalent"] == ">=6.7"


def test_medians_are_over_tasks():
    """Speed-ups 1, 2 and 4; one task has two seeds, the others one."""
    rows = [_row("teacher", n, tv, task=t) for t in "abc" for n, tv in HARMONIC.items()]
    levels = {"a": [0.5], "b": [0.25, 0.25], "c": [0.125]}
    for task, values in levels.items():
        rows += [_row("ours", 1, tv, seed, task=task) for seed, tv in enumerate(values)]
    rows.append(_row("ours", 2, 0.125, task="a"))
    once, twice = [m for m in medians(summarise(rank(rows))) if m["method"] == "ours"]
    assert (once["nfe"], once["tasks"], once["seeds"]) == (1, 3, 1)
    assert (once["least"], once["speed_up"], once["greatest"]) == pytest.approx((1, 2, 4))
    assert (twice["nfe"], twice["tasks"], twice["speed_up"]) == (2, 1, pytest.approx(2))


def test_rows_are_left_out_until_the_teacher_has_ended():
    assert rank([_row("ours", 1, 0.5)]) == []


def test_curves_are_continued_by_the_limit_of_n_tv():
    """3 x 3 digit patches: the exact curve cut at N = 2, against itself."""
    (run,) = plan([TASKS["digits3x3"]], ["masked"], [], [0], BUDGETS["quick"])
    curve = {row["nfe"]: row["tv"] for row in compute(run)}
    cut = {n: tv for n, tv in curve.items() if n <= 2}
    longer = continued(cut, 256 * (2 * curve[256] - curve[128] / 2))  # Richardson in 1/N
    assert longer.keys() == curve.keys()
    for n in curve:
        assert longer[n] == pytest.approx(curve[n], rel=0.01)
    rows = [_row("teacher", 1, 0.5), _row("ours", 1, 0.05)]
    limited = rank(rows, {("t", "masked"): 0.5})[-1]
    assert (limited["bound"], limited["equivalent_steps"]) == ("~", pytest.approx(10))
    assert rank(rows, {})[-1]["bound"] == ">="
    assert equivalent_steps({1: 0.5, 2: 0.25}, 0.5).bound == ""


def test_the_recorded_rows_give_the_recorded_summary_and_medians():
    """The record was written by earlier code that did the same sums in plain Python."""
    record = read_json(RESULTS / "leaderboard.json")
    assert max(row["latent_refinement"] for row in record["rows"]) < 1e-3
    ranked = rank(record["rows"], {("digits4x4", "masked"): record["limits"][0]["n_tv"]})
    lines = summarise(ranked)
    assert len(lines) == len(record["summary"])
    for line, recorded in zip(lines, record["summary"], strict=True):
        assert recorded.keys() == set(SUMMARY)
        _same({name: line[name] for name in SUMMARY}, recorded)
    found = {(m["process"], m["method"], m["nfe"]): m for m in medians(lines)}
    for recorded in record["medians"]:
        key = recorded["process"], recorded["method"], recorded["nfe"]
        _same(found[key], recorded)


def _same(line, recorded):
    """The same texts and whole numbers, and other numbers up to rounding."""
    assert line.keys() == recorded.keys()
    for name, value in recorded.items():
        if isinstance(value, float):
            assert line[name] == pytest.approx(value, rel=1e-6, abs=1e-15)
        else:
            assert line[name] == value
