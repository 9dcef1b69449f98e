"""Two coordinates: known numbers by other routes, the keys of records, errors."""

import json
from fractions import Fraction
from itertools import pairwise

import pytest

from theory.tools import oracle
from toys import two_dim_tv

AGREE = ["--p0", ".5", "0", "0", ".5"]


def _run(tmp_path, *options):
    path = tmp_path / "out.json"
    two_dim_tv.main([*options, "--json", str(path)])
    return json.loads(path.read_text())


def test_uniform_noise_gives_the_known_rationals(tmp_path):
    options = ["--process", "uniform", "--schedule", "linear", *AGREE]
    options += ["--steps", "1", "2", "3", "4"]
    result = _run(tmp_path, *options)
    expected = [Fraction(1, 2), Fraction(17, 50), Fraction(136489, 540800)]
    expected += [Fraction(16090513, 81281250)]
    for row, value in zip(result["rows"], expected, strict=True):
        assert row["tv"] == pytest.approx(float(value), abs=1e-13)
        assert row["closed_form"] == pytest.approx(float(value), abs=1e-13)


def test_a_masked_table_of_three_values_against_the_oracle(tmp_path):
    p0 = [0.1, 0.2, 0.05, 0.05, 0.1, 0.1, 0.2, 0.05, 0.15]
    options = ["--process", "masked", "--p0", *map(str, p0), "--steps", "1", "3"]
    result = _run(tmp_path, *options)
    law = oracle.law_from(p0, 2, 3)
    for row in result["rows"]:
        alphas = [1 - k / row["steps"] for k in range(row["steps"] + 1)]
        kernels = [
            oracle.masked_kernel(later / earlier, 3, from_data=earlier == 1)
            for earlier, later in pairwise(alphas)
        ]
        expected = oracle.total_variation(oracle.compose(law, kernels), law)
        assert row["tv"] == pytest.approx(expected, abs=1e-12)
        assert row["n_tv"] == pytest.approx(row["steps"] * expected, abs=1e-12)
    distance = oracle.total_variation(law, oracle.independent(law))
    assert result["limit"] == pytest.approx(distance, abs=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        ["--process", "masked", "--schedule", "cosine", "--grid", "optimal", "--start", "prior"],
        ["--process", "uniform", "--theta", "0.9", "--rate", ".5", "--horizon", "4"],
        ["--process", "absorbing", "--p0", ".7", "0", "0", ".3", "--grid", "optimal"],
        ["--process", "absorbing", "--grid", "quadratic"],
        ["--process", "ctmc", "--rates", ".3", "1", "--p0", ".4", ".1", ".2", ".3"],
    ],
    ids=lambda options: " ".join(options[1:4]),
)
def test_records_have_every_key_and_bounds_hold(tmp_path, options):
    result = _run(tmp_path, *options, "--steps", "1", "4", "256")
    assert {"manifest", "rows", "limit", *two_dim_tv.OPTIONS} <= result.keys()
    for row in result["rows"]:
        keys = {"steps", "tv", "n_tv", "closed_form", "lower_bound", "upper_bound"}
        assert row.keys() == keys
        if row["closed_form"] is not None:
            assert row["tv"] == pytest.approx(row["closed_form"], abs=1e-11)
        if row["lower_bound"] is not None:
            assert row["lower_bound"] <= row["tv"] + 1e-12
        if row["upper_bound"] is not None:
            assert row["upper_bound"] >= row["tv"] - 1e-12
    if result["limit"] is not None:
        assert result["rows"][-1]["n_tv"] == pytest.approx(result["limit"], rel=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--theta", "1.5"], "theta.*1.5"),
        (["--p0", ".5", ".6", "0", "0"], "p0 must sum to 1"),
        (["--p0", ".5", ".5", "0"], "p0.*V x V.*3"),
        (["--rate", "-1"], "rate.*-1"),
        (["--rate", "1e-18"], "rate x horizon must be at least 1e-12.*got 1e-18"),
        (["--rates", "1", "2"], "rates belong to a ctmc, but process is uniform; use --rate"),
        (["--process", "ctmc", "--rate", "1"], "rate is 1.0, but a ctmc takes --rates instead"),
        (["--schedule", "cosine", "--rate", "1"], "rate is 1.0, but a cosine schedule has no rate"),
        (["--horizon", "0"], "horizon.*0"),
        (["--process", "ctmc", "--rates", "-1", "1"], "-1"),
        (["--process", "ctmc", "--grid", "optimal"], "grid is optimal.*quadratic"),
        (["--process", "ctmc", "--schedule", "cosine"], "schedule is cosine"),
        (["--p0", *["0.1"] * 8, "0.2"], "masked"),
    ],
)
def test_bad_input_names_argument_value_and_remedy(options, words):
    with pytest.raises(ValueError, match=words):
        two_dim_tv.main(options)
