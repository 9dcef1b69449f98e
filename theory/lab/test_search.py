"""The laboratory finds known counterexamples, refutes nothing that is proved, and explains."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from reporting.programs import run_here
from theory.lab import search as search_module
from theory.lab.conjecture import load
from theory.lab.exact_check import simplest
from theory.lab.report import described, record_markdown, shown
from theory.lab.search import search
from theory.tools import oracle

HERE = Path(__file__).parent
FALSE, PROVEN, OPEN = (sorted((HERE / name).glob("*.py")) for name in ("false", "proven", "open"))
QUICK = {"arbitrary_products", "control_variate", "data_term", "total_correlation"}


def written(folder: Path, text: str) -> Path:
    path = folder / "guess.py"
    path.write_text(text)
    return path


def refuted(path: Path, seconds: float = 60.0):
    outcome = search(load(path), seconds)
    assert outcome.counterexample is not None, described(load(path), outcome)
    assert outcome.counterexample.margin < 0  # certain: exact numbers
    return outcome


def test_there_is_enough_to_show():
    assert {path.stem for path in FALSE} >= {
        *QUICK,
        "log_rate",
        "refined_grid",
        "theorem2_noised_data",
    }
    assert len(PROVEN) >= 10


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[] if p.stem in QUICK else pytest.mark.slow) for p in FALSE],
    ids=lambda path: path.stem,
)
def test_a_false_conjecture_is_refuted(path, monkeypatch):
    """Half the steps of ascent suffice."""
    monkeypatch.setattr(search_module, "STEPS", 60)
    refuted(path)


@pytest.mark.parametrize("path", PROVEN, ids=lambda path: path.stem)
def test_a_proven_statement_is_not_refuted(path):
    outcome = search(load(path), seconds=0.25)
    assert outcome.counterexample is None
    assert outcome.doubtful == 0
    assert outcome.starts > 0
    assert outcome.least >= 0  # also if rounding makes a margin of zero negative
    assert "No counterexample in" in described(load(path), outcome)


def test_rounding_is_no_margin(tmp_path):
    """Probabilities sum to 1, and in floats to slightly more for some of many laws."""
    head = "from theory.lab import Law\nSTATES = DIMS = 2\n"
    path = written(tmp_path, f"{head}def conjecture(law: Law): return law.sum(), 1")
    outcome = search(load(path), seconds=0.2)
    assert (outcome.least, outcome.doubtful, outcome.counterexample) == (0, 0, None)


@pytest.mark.parametrize("path", OPEN, ids=lambda path: path.stem)
def test_an_open_question_can_be_asked(path):
    conjecture = load(path)
    generator = torch.Generator().manual_seed(0)
    setting = conjecture.settings[0]
    values = conjecture.values(setting, conjecture.draw(setting, generator))
    left, right = conjecture.sides(setting, values)
    assert math.isfinite(float(right) - float(left))


def test_the_printed_law_is_a_counterexample_for_the_oracle():
    """Paste what is printed; the plain fractions of the oracle confirm it."""
    outcome = refuted(HERE / "false" / "arbitrary_products.py")
    pasted = {}
    for name, text in outcome.counterexample.inputs.items():
        pasted[name] = eval(text, {"Fraction": Fraction})
        assert sum(pasted[name].values()) == 1
    law, other = pasted["law"], pasted["other"]
    left = oracle.total_variation(oracle.independent(oracle_filled(law)), law)
    right = oracle.total_variation(other, law)
    case = outcome.counterexample
    assert right - left == Fraction(str(case.margin)) < 0
    assert (left, right) == (Fraction(str(case.left)), Fraction(str(case.right)))


def oracle_filled(law: oracle.Law) -> oracle.Law:
    """The law with the states of probability 0, on which the product of marginals may live."""
    num_dims = len(next(iter(law)))
    size = 1 + max(map(max, law))
    return {x: law.get(x, Fraction(0)) for x in oracle.all_states(num_dims, size)}


def test_a_violation_by_rounding_is_not_a_counterexample(tmp_path):
    """In floats the margin is below zero. In exact numbers it is zero."""
    path = written(
        tmp_path,
        "from theory.lab import Law\n"
        "STATES = DIMS = 2\n"
        "def conjecture(law: Law):\n"
        "    rounded = 1e-6 if hasattr(law, 'detach') else 0\n"
        "    return rounded * law.sum(), 0\n",
    )
    outcome = search(load(path), seconds=0.2)
    assert outcome.counterexample is None
    assert outcome.doubtful > 0
    assert "were not confirmed" in described(load(path), outcome)


def test_the_simplest_rationals_are_taken(tmp_path):
    path = written(
        tmp_path,
        "from theory.lab import Law\n"
        "STATES = DIMS = 2\n"
        "def conjecture(law: Law):\n"
        "    return law[0, 0] * law[1, 1], 0.2\n",
    )
    conjecture = load(path)
    near_half = torch.tensor([0.01, -9.0, -9.0, 0.0], dtype=torch.float64)
    case = simplest(conjecture, conjecture.settings[0], [near_half])
    assert case.inputs == {"law": "{(0, 0): Fraction(1, 2), (1, 1): Fraction(1, 2)}"}
    assert shown(case.left) == "1/4 (about 0.25)"


def test_a_conjecture_that_branches_on_values_is_tried_one_by_one(tmp_path):
    path = written(
        tmp_path,
        "from theory.lab import Law\n"
        "STATES = DIMS = 2\n"
        "def conjecture(law: Law):\n"
        "    return law[0, 0] if law[0, 0] > law[1, 1] else law[1, 1], 0.9\n",
    )
    refuted(path)


HEAD = "from theory.lab import Law, error, log\nSTATES = DIMS = 2\n"
BAD = {
    "missing": (None, "no such conjecture file"),
    "syntax": ("def", "the file raised SyntaxError"),
    "empty": ("x = 1", "must define a function `conjecture`"),
    "no parameters": ("def conjecture(): return 0", "must have parameters"),
    "annotation": ("def conjecture(law): return 0", "the parameter law of conjecture must be"),
    "raises": (
        HEAD + "def conjecture(law: Law): return 1 / 0",
        "raised ZeroDivisionError at S = 2",
    ),
    "shape": (
        HEAD + "def conjecture(law: Law): return law",
        "it returned an array of shape (2, 2)",
    ),
    "sides": (HEAD + "def conjecture(law: Law): return 1, 2, 3", "it returned 3 values"),
    "nothing": (HEAD + "def conjecture(law: Law): pass", "it returned NoneType"),
    "nan": (
        HEAD + "def conjecture(law: Law): return log(law.sum() - 2)",
        "returned NaN at S = 2, D = 2, N = 1, masked noise, linear schedule; law = [",
    ),
    "range": ("STEPS = (4, 2)\n" + HEAD, "STEPS must be a whole number of at least 1, or a pair"),
    "word": ("NOISE = 'pink'\n" + HEAD, "NOISE must be one of masked, uniform, absorbing, any"),
    "misspelt": ("STATE = 2\n" + HEAD, "no setting is called STATE; did you mean STATES?"),
    "large": ("STEPS = 1\n" + HEAD + "DIMS = 9", "allow 512 states; the most is"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line(name, tmp_path):
    text, expected = BAD[name]
    path = tmp_path / "guess.py"
    if text is not None:
        end = "" if "conjecture" in text or name in ("syntax", "empty") else "\n"
        filler = "def conjecture(law: Law): return 0" if end else ""
        path.write_text(text + end + filler)
    result = run_here(["-m", "theory.lab", str(path), "--minutes", "0.01"], tmp_path)
    assert result.returncode == 2, result
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert "guess.py" in result.stderr


def test_the_program_prints_and_records(tmp_path):
    path, out = HERE / "false" / "total_correlation.py", tmp_path / "lab.json"
    words = ["-m", "theory.lab", str(path), "--seed", "3", "--json", str(out)]
    result = run_here(words, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "FALSE. Found after" in result.stdout
    record = json.loads(out.read_text())
    [row] = record["conjectures"]
    assert record["manifest"]["seed"] == 3
    assert row["refuted"]
    assert row["case"]["inputs"].keys() == {"first", "second", "noise", "grid"}
    assert re.search(r"right - left = -0\.\d+", result.stdout)


def test_the_table_says_what_was_found():
    case = {"inputs": {"law": "{(0, 0): 1}", "grid": "[" + "0, " * 200 + "1]"}, "margin": "-1/4"}
    row = {"conjecture": "|p| <= q", "evaluations": 1234, "refuted": True, "case": case}
    row["least_relative_margin"] = 0.021
    other = {**row, "refuted": False}
    _, _, first, second = record_markdown({"conjectures": [row, other]}).splitlines()
    assert first == (
        r"| \|p\| \<= q | 1,234 | **false**: right - left = -1/4 | `law = {(0, 0): 1}` |"
    )
    assert "| no counterexample; closest 0.02 |" in second


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_minutes_are_positive(minutes, tmp_path):
    result = run_here(["-m", "theory.lab", "x.py", f"--minutes={minutes}"], tmp_path)
    assert result.returncode == 2
    assert "--minutes must be a positive number" in result.stderr
