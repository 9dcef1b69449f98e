"""Equivalent steps by hand, means with intervals, the CSV file, and the headline."""

import math

import numpy as np
import pandas as pd
import pytest

from full_scale.miniatures import open_miniature
from full_scale.miniatures.table import (
    COLUMNS,
    Equivalent,
    equivalent_steps,
    headline,
    long_frame,
    means,
    printed,
    read_csv,
    write_csv,
)

SHARES = {1: 0.1, 2: 0.2, 4: 0.4, 8: 0.3}
DISTANCES = {1: 8.0, 2: 4.0, 4: 1.0, 8: 2.0}


@pytest.mark.parametrize(
    ("calls", "value", "expected"),
    [
        (1, 0.2, "2.00"),
        (2, 0.2, "1.00"),
        (1, 0.3, "2.83"),  # half-way from 2 to 4 on a logarithmic axis
        (4, 0.4, "1.00"),
        (1, 0.05, "<1.00"),
        (2, 0.41, ">4.00"),  # the curve ends at 8 calls
    ],
)
def test_equivalent_steps_where_higher_is_better(calls, value, expected):
    assert str(equivalent_steps(SHARES, calls, value, "higher")) == expected


@pytest.mark.parametrize(
    ("calls", "value", "expected"),
    [
        (1, 4.0, "2.00"),
        (1, 2.0, "2.83"),  # half-way from 4 to 1 on a logarithmic scale of distances
        (2, 2.0, "1.41"),  # not the 8 calls at which the curve is worse again
        (1, 1.0, "4.00"),
        (1, math.sqrt(32), "1.41"),
        (2, 9.0, "<0.50"),
        (1, 0.9, ">8.00"),
    ],
)
def test_equivalent_steps_where_lower_is_better(calls, value, expected):
    assert str(equivalent_steps(DISTANCES, calls, value, "lower")) == expected


def test_scores_that_are_not_positive_have_no_logarithm():
    curve = {1: 3.0, 4: -1.0}
    assert equivalent_steps(curve, 1, 1.0, "lower").steps == pytest.approx(2)
    assert equivalent_steps(curve, 1, -2.0, "lower") == Equivalent(4.0, ">")


def row(recipe, model, nfe, seed, value):
    scores = dict.fromkeys(open_miniature("words").metrics, value)
    return {"recipe": recipe, "model": model, "nfe": nfe, "seed": seed} | scores


TEACHER = [row("words-teacher", "teacher", n, 0, value) for n, value in SHARES.items()]
FLOOR = row("real data", "data", 0, 0, 1.0)


def frame(*rows):
    return long_frame(open_miniature("words"), rows)


def test_means_and_intervals_by_hand():
    students = [row("words", "student", 1, seed, value) for seed, value in enumerate((0.2, 0.6))]
    lines = means(frame(FLOOR, *TEACHER, *students))
    found = {(line.recipe, line.nfe, line.metric): line for line in lines}
    student = found["words", 1, "real_share"]
    assert student.mean == pytest.approx(0.4)
    # Two values: standard error 0.2, and the quantile of Student's t with one degree of freedom.
    assert student.interval == pytest.approx(12.7062 * 0.2, rel=1e-5)
    assert str(student.equivalent) == "4.00"
    teacher = found["words-teacher", 2, "real_share"]
    assert teacher.interval is None
    assert str(teacher.equivalent) == "1.00"
    assert found["real data", 0, "real_share"].equivalent is None
    assert means(frame(*students))[0].equivalent is None
    table = printed(open_miniature("words"), frame(FLOOR, *TEACHER, *students))
    assert "0.4 ± 2.5" in table
    assert table.splitlines()[-1].endswith("4.00")


def test_rows_replace_those_of_their_miniature_and_recipe(tmp_path):
    path = tmp_path / "rows.csv"
    student, other = row("words", "student", 1, 0, 0.9), row("words-data", "student", 1, 0, 0.5)
    write_csv(path, frame(student, other))
    foreign = frame(student).assign(miniature="digits")
    write_csv(path, foreign)
    before = path.read_bytes()
    write_csv(path, foreign)
    assert path.read_bytes() == before
    write_csv(path, frame(*TEACHER, row("words", "student", 2, 1, 0.6)))
    table = read_csv(path)
    assert tuple(table.columns) == COLUMNS
    kept = table.groupby(["miniature", "recipe"])["value"].agg(["size", "max"])
    metrics = open_miniature("words").metrics
    assert kept.to_dict("index") == {
        ("digits", "words"): {"size": len(metrics), "max": 0.9},
        ("words", "words"): {"size": len(metrics), "max": 0.6},
        ("words", "words-data"): {"size": len(metrics), "max": 0.5},
        ("words", "words-teacher"): {"size": 4 * len(metrics), "max": 0.4},
    }
    assert dict(zip(table["metric"], table["better"], strict=True)) == metrics


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame({"a": [1]}).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"has the columns a instead of miniature, recipe"):
        write_csv(path, frame(*TEACHER))
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is no CSV file"):
        read_csv(path)


@pytest.mark.parametrize(
    ("column", "value"),
    [("value", "x"), ("value", np.nan), ("nfe", np.inf), ("model", "y"), ("better", "most")],
)
def test_a_row_with_a_wrong_value_is_refused(tmp_path, column, value):
    path = tmp_path / "rows.csv"
    table = frame(*TEACHER).astype(object)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"rows\.csv, line 3: not a row of the min"):
        read_csv(path)


def test_headline_by_hand():
    """One call: 2, 4 and more than 8; the median of all three is 4. Two calls: one miniature."""
    tables = []
    for name, value in {"words": 0.2, "digits": 0.4, "mnist-tokens": 0.9}.items():
        student = row(name, "student", 1, 0, value)
        others = [row(name, "hybrid", 1, 0, 0.2), row(f"{name}-data", "student", 1, 0, 0.0)]
        tables.append(frame(*TEACHER, student, *others).assign(miniature=name))
    tables.append(frame(row("words", "student", 2, 0, 0.4)))
    main = dict.fromkeys(("words", "digits", "mnist-tokens"), "real_share")
    found = headline(pd.concat(tables), main)
    assert found == {1: pytest.approx(4), 2: pytest.approx(2)}
    assert headline(pd.concat(tables), main, "-data") == {1: 1.0}, "worse than one teacher call"
    assert headline(pd.concat(tables), main, model="hybrid") == {1: pytest.approx(2)}
