"""The metrics of the benchmark by plain sums, and the check of what methods return."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from toys.benchmark.metrics import check_output, measure
from toys.tasks.registry import TASKS
from toys.tasks.setting import Output, Setting

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
    setting = Setting(TASKS["pair"], "masked")
    with pytest.raises(ValueError, match=words) as error:
        check_output(Output(torch.tensor(law).double(), nfe=1), setting, "wonder")
    assert "wonder" in str(error.value)
    assert "pair" in str(error.value)
    with pytest.raises(ValueError, match="nfe = 0"):
        check_output(Output(setting.q_0, nfe=0), setting, "wonder")
