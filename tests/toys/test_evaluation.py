"""Metrics and teacher-equivalent steps against fractions, hand-made curves and scipy."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from toys.benchmark.metrics import check_output, measure
from toys.benchmark.ranking import equivalent_steps, interval, medians, rank, summarise
from toys.tasks.problem import Output, Problem
from toys.tasks.registry import TASKS

HARMONIC = {1: 0.5, 2: 0.25, 4: 0.125, 8: 0.0625}
LEVELS = st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=8)


def _laws(seed, count):
    weights = np.random.default_rng(seed).dirichlet(np.ones(8), size=count)
    return [torch.from_numpy(row) for row in weights]


def test_metrics_by_plain_sums():
    p, q = _laws(0, 2)
    p[3] = 0.0
    p /= p.sum()
    values = measure(p, q, 3, 2)
    cells = list(itertools.product((0, 1), repeat=3))
    pairs = list(zip(p.tolist(), q.tolist(), strict=True))
    assert values["tv"] == pytest.approx(sum(abs(a - b) for a, b in pairs) / 2, abs=1e-14)
    expected = sum(a * math.log(a / b) for a, b in pairs if a)
    assert values["kl"] == pytest.approx(expected, abs=1e-14)
    assert values["off_support"] == pytest.approx(float(q[3]), abs=1e-15)

    def correlation(law):
        single = [
            {v: sum(m for x, m in zip(cells, law, strict=True) if x[d] == v) for v in (0, 1)}
            for d in range(3)
        ]
        return sum(
            m * math.log(m / math.prod(single[d][x[d]] for d in range(3)))
            for x, m in zip(cells, law, strict=True)
            if m
        )

    ratio = correlation(q.tolist()) / correlation(p.tolist())
    assert values["captured_tc"] == pytest.approx(ratio, rel=1e-10)


def test_metrics_at_the_ends():
    (law,) = _laws(1, 1)
    assert measure(law, law, 3, 2) == {
        **{"tv": 0.0, "kl": 0.0, "off_support": 0.0},
        "captured_tc": pytest.approx(1),
    }
    point = torch.zeros(8).double()
    point[5] = 1.0
    assert measure(law, point, 3, 2)["kl"] is None, "infinite"
    uniform = torch.full((8,), 0.125).double()
    assert measure(uniform, law, 3, 2)["captured_tc"] is None, "there is none to capture"
    assert measure(law, uniform, 3, 2)["captured_tc"] == pytest.approx(0, abs=1e-12)


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


def test_interval_is_that_of_scipy():
    values = [0.1, 0.13, 0.08, 0.11]
    mean, half = interval(values)
    low, high = scipy.stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=scipy.stats.sem(values)
    )
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert interval([0.2]) == (0.2, None)
    with pytest.raises(ValueError, match="values"):
        interval([])


def test_interval_covers_the_mean_as_often_as_it_says():
    """2000 sets of three Gaussian seeds; at 95 % a count outside 5 standard errors is a 6e-7."""
    draws = np.random.default_rng(3).normal(size=(2000, 3))
    hits = sum(abs(mean) <= half for mean, half in map(interval, draws.tolist()))
    assert abs(hits - 1900) < 5 * math.sqrt(2000 * 0.95 * 0.05)


def _row(method, nfe, tv, seed=0, **other):
    row = {"task": "t", "process": "masked", "method": method, "nfe": nfe, "tv": tv, "seed": seed}
    row |= {"kl": 0.1, "captured_tc": None, "off_support": 0.0, "train_seconds": 1.0}
    return row | {"latent_refinement": 0.0, "peak_memory": 0, "latent": "-"} | other


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


@pytest.mark.parametrize(
    ("law", "words"),
    [
        ([0.25, 0.25, 0.25], "shape"),
        ([0.5, 0.5, 0.5, -0.5], "-0.5"),
        ([0.25, 0.25, 0.25, 0.2501], "must sum to 1"),
        ([0.25, 0.25, 0.25, math.nan], "nan"),
    ],
)
def test_what_is_no_law_is_an_error_that_names_the_method(law, words):
    problem = Problem(TASKS["pair"], "masked")
    with pytest.raises(ValueError, match=words) as error:
        check_output(Output(torch.tensor(law).double(), nfe=1), problem, "wonder")
    assert "wonder" in str(error.value)
    assert "pair" in str(error.value)
    with pytest.raises(ValueError, match="nfe = 0"):
        check_output(Output(problem.q_0, nfe=0), problem, "wonder")
