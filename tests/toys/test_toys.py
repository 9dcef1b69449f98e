"""The toys: their numbers by other routes, the keys of their records, their errors."""

import json
import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from theory.tools import oracle
from toys import digit_patches, letter_windows, two_dim_tv
from toys.tasks import real_laws as data

HALF = ["--p0", ".5", "0", "0", ".5"]


def _run(tmp_path, *options):
    path = tmp_path / "out.json"
    two_dim_tv.main([*options, "--json", str(path)])
    return json.loads(path.read_text())


def test_uniform_noise_gives_the_known_rationals(tmp_path):
    options = ["--process", "uniform", "--schedule", "linear", *HALF, "--steps", "1", "2", "3", "4"]
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
        (["--rates", "1", "2"], "rates are those of a ctmc, and process is uniform"),
        (["--process", "ctmc", "--rate", "1"], "rate is 1.0, but a ctmc has --rates"),
        (["--schedule", "cosine", "--rate", "1"], "rate is 1.0, but cosine has none"),
        (["--horizon", "0"], "horizon.*0"),
        (["--steps", "0"], "steps.*0"),
        (["--process", "ctmc", "--rates", "-1", "1"], "-1"),
        (["--process", "ctmc", "--grid", "optimal"], "grid is optimal.*quadratic"),
        (["--process", "ctmc", "--schedule", "cosine"], "schedule is cosine"),
        (["--p0", *["0.1"] * 8, "0.2"], "masked"),
    ],
)
def test_bad_input_names_argument_value_and_remedy(options, words):
    with pytest.raises(ValueError, match=words):
        two_dim_tv.main(options)


def test_a_window_that_no_machine_holds_is_one_line():
    with pytest.raises(ValueError, match=r"300 letters would take 10\^4\d\d GiB"):
        letter_windows.main(["--length", "300"])


def test_patch_law_counts_every_patch_of_every_image():
    datasets = pytest.importorskip("sklearn.datasets")
    counts = {}
    for image in datasets.load_digits().images.tolist():
        for top in range(6):
            for left in range(6):
                patch = tuple(int(image[top + i][left + j] > 7) for i in range(3) for j in range(3))
                counts[patch] = counts.get(patch, 0) + 1
    law, num_dims = data.patch_law(3)
    assert num_dims == 9
    total = sum(counts.values())
    for index, patch in enumerate(oracle.all_states(9, 2)):
        assert float(law[index]) == pytest.approx(counts.get(patch, 0) / total, abs=1e-15)


def test_window_law_and_its_letters():
    law, length = data.window_law(2)
    assert length == 2
    assert float(law.sum()) == pytest.approx(1, abs=1e-12)
    assert data.window_text(int(law.argmax()), 2) in {"er", "in", "an", "on", "le", "st"}
    assert data.window_text(26 * 0 + 25, 2) == "az"


def test_three_by_three_patches_lose_what_is_published_for_orientation(tmp_path):
    path = tmp_path / "out.json"
    digit_patches.main(["--sizes", "3", "--steps", "1", "2", "4", "8", "16", "--json", str(path)])
    masked = json.loads(path.read_text())["laws"][0]["curves"][0]
    expected = [0.614, 0.325, 0.165, 0.083, 0.042]
    for row, value in zip(masked["rows"], expected, strict=True):
        assert row["tv"] == pytest.approx(value, abs=6e-4)
    # Richardson in 1/N: the predicted limit, from the recorded rows alone.
    earlier, later = (row["n_tv"] for row in masked["rows"][-2:])
    assert 2 * later - earlier == pytest.approx(masked["limit"], abs=2e-3)


def test_windows_of_two_letters(tmp_path):
    path = tmp_path / "out.json"
    letter_windows.main(["--length", "2", "--steps", "1", "2", "--json", str(path)])
    result = json.loads(path.read_text())["laws"][0]
    law = data.window_law(2)[0].reshape(26, 26)
    independent = torch.outer(law.sum(1), law.sum(0))
    expected = float((law - independent).abs().sum() / 2)
    assert result["curves"][0]["rows"][0]["tv"] == pytest.approx(expected, abs=1e-12)
    assert result["curves"][0]["rows"][1]["tv"] == pytest.approx(expected / 2, abs=1e-12)
    correlation = float(torch.special.xlogy(law, law / independent).nan_to_num().sum())
    assert result["total_correlation"] == pytest.approx(correlation, abs=1e-10)
    assert not math.isnan(result["curves"][0]["limit"])
