"""The recurrence against the definition, and certificates that were tampered with."""

import ast
import importlib.util
import json
import random
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from flint import arb, ctx, fmpq

from theory.certified.__main__ import verify
from theory.certified.check import blur, check
from theory.certified.dual import Dual
from theory.certified.family import RECORD, STEPS, entries_of, family, table, title
from theory.certified.recurrence import scaled_errors
from theory.certified.search import certify
from theory.tools.oracle import compose, law_from, masked_kernel, total_variation


def two_state_kernel(pi, ratio):
    up, down = (1 - ratio) * pi, (1 - ratio) * (1 - pi)
    return [[1 - up, up], [down, 1 - down]]


def to_flint(number):
    return fmpq(number.numerator, number.denominator)


def height(x, y, z):
    x, y, z = abs(x), abs(y), abs(z)
    return max(2 * x, 2 * y, 2 * z, x + y + z)


@pytest.mark.parametrize("noise", ["masked", "two-state"])
@pytest.mark.parametrize("num_steps", [1, 2, 5])
def test_recurrence_is_the_sampler(noise, num_steps):
    """In exact arithmetic, for laws with and without zeros and for pi = 0."""
    draw = random.Random(num_steps)
    for pi in (Fraction(0), Fraction(1, 3), Fraction(1, 2)):
        for zeros in (0, 0, 1, 2):
            weights = [draw.randint(1, 9) for _ in range(4)]
            for i in draw.sample(range(4), zeros):
                weights[i] = 0
            values = [Fraction(w, sum(weights)) for w in weights]
            ratios = [Fraction(num_steps - k, num_steps + 1 - k) for k in range(1, num_steps + 1)]
            if noise == "masked":
                kernels = [masked_kernel(r, 2, from_data=k == 0) for k, r in enumerate(ratios)]
            else:
                kernels = [two_state_kernel(pi, r) for r in ratios]
            law = law_from(values, 2, 2)
            expected = total_variation(compose(law, kernels), law)
            entry = {"noise": noise, "pi": [str(pi)], "rate": None, "N": num_steps}
            flint = [to_flint(v) for v in values]
            found = height(*scaled_errors(entry, flint, to_flint(pi), None))
            assert found == num_steps * to_flint(Fraction(expected)), (pi, values)


def box_around(draw):
    """Three probabilities within a small box."""
    middle = [fmpq(draw.randint(5, 95), 100) for _ in range(3)]
    return [(m - fmpq(1, 20), m + fmpq(1, 20)) for m in middle]


def parts(entry, law, pi):
    return scaled_errors(entry, law, pi, entry["rate"] and arb(fmpq(entry["rate"])))


@pytest.mark.parametrize("rate", [None, "2"])
@pytest.mark.parametrize("pi", ["0", "1/5"])
def test_balls_contain_values_and_slopes(pi, rate):
    """On a box: the values at points, and the differences between two points."""
    draw = random.Random(3)
    entry = {"noise": "two-state", "pi": [pi], "rate": rate, "N": 3}
    share = arb(fmpq(pi))
    for _ in range(5):
        box = box_around(draw)
        balls = [arb(low).union(arb(high)) for low, high in box]
        duals = [Dual(b, [arb(i == j) for j in range(3)]) for i, b in enumerate(balls)]
        enclosed = parts(entry, [duals[0], arb(1), *duals[1:]], share)
        plain = parts(entry, [balls[0], arb(1), *balls[1:]], share)
        ends = [[low + (high - low) * draw.randint(0, 8) / 8 for low, high in box] for _ in "ab"]
        a, b = (parts(entry, [arb(x), arb(1), arb(y), arb(z)], share) for x, y, z in ends)
        for whole, ball, first, last in zip(enclosed, plain, a, b, strict=True):
            assert ball.contains(first)
            assert whole.value.contains(first)
            steps = [q - p for p, q in zip(*ends, strict=True)]
            change = sum(s * h for s, h in zip(whole.slopes, steps, strict=True))
            assert change.overlaps(last - first)


def test_slopes_are_derivatives():
    """At a point, also by pi: against differences of tiny steps."""
    entry = {"noise": "two-state", "pi": ["1/5", "1/2"], "rate": "2", "N": 4}
    tiny = arb(10) ** -15
    with ctx.workprec(300):
        at = [arb(fmpq(k, 10)) for k in (2, 3, 7)] + [arb(fmpq(3, 10))]
        duals = [Dual(x, [arb(i == j) for j in range(4)]) for i, x in enumerate(at)]
        found = parts(entry, [duals[0], arb(1), *duals[1:3]], duals[3])
        for j in range(4):
            ahead, behind = (
                [x + sign * tiny * (i == j) for i, x in enumerate(at)] for sign in (1, -1)
            )
            ahead, behind = (parts(entry, [x, arb(1), y, z], pi) for x, y, z, pi in (ahead, behind))
            for exact, high, low in zip(found, ahead, behind, strict=True):
                assert abs(float(exact.slopes[j] - (high - low) / (2 * tiny))) < 1e-12


def test_a_bound_below_a_value_on_the_box_is_never_proved():
    """Values at random points of random boxes; the bound is just below the largest of them."""
    draw = random.Random(8)
    entry = {"noise": "two-state", "pi": ["1/4"], "rate": None, "N": 3}
    proved = 0
    for _ in range(30):
        size = fmpq(1, draw.choice((2, 4, 8, 32)))
        box = [(low, low + size) for low in ((1 - size) * draw.randint(0, 9) / 9 for _ in "abc")]
        values = []
        for _ in range(12):
            at = [a + (b - a) * draw.choice((0, 1, 1, 2, 4)) / 4 for a, b in box]
            law = [at[0], fmpq(1), *at[1:]]
            values.append(height(*parts(entry, law, fmpq(1, 4))) / sum(law))
        assert blur(entry, 1, box, max(values) * fmpq(999, 1000)) is not None
        proved += blur(entry, 1, box, max(values) * 2) is None
    assert proved > 5


UNIFORM = {"noise": "two-state", "pi": ["1/2"], "rate": None, "N": 2}
UNEVEN = {"noise": "two-state", "pi": ["1/4"], "rate": "1", "N": 2}


@pytest.fixture(scope="module")
def whole():
    return [certify(UNIFORM), certify(UNEVEN)]


def test_a_certificate_is_verified(whole):
    for entry in whole:
        boxes = []
        check(entry, lambda: boxes.append(1))  # noqa: B023
        assert len(boxes) == sum(map(len, entry["trees"].values()))
    assert whole[0]["law"] in (["0", "1/2", "1/2", "0"], ["1/2", "0", "0", "1/2"])
    assert whole[0]["lower"] == "0.680000"  # 17/25, which is twice the known 17/50


def without_box(entry, where):
    tree = entry["trees"]["01"]
    at = tree.index(".") if where == "first" else len(tree) - 1
    return {"trees": entry["trees"] | {"01": tree[:at] + tree[at + 1 :]}}


TAMPERED = {
    "the first box is removed": (lambda e: without_box(e, "first"), "not (proved|cover)"),
    "the last box is removed": (lambda e: without_box(e, "last"), "do not cover"),
    "a cube is missing": (lambda e: {"trees": {}}, "do not cover"),
    "a box too many": (lambda e: {"trees": e["trees"] | {"01": e["trees"]["01"] + "."}}, "proved"),
    "one large box": (lambda e: {"trees": e["trees"] | {"01": "."}}, "not proved"),
    "a mirror image of nothing": (lambda e: {"trees": e["trees"] | {"01": "m"}}, "not proved"),
    "an unknown sign": (lambda e: {"trees": e["trees"] | {"01": "7"}}, "not proved"),
    "the upper bound is lowered": (lambda e: {"upper": e["lower"]}, "not proved"),
    "the lower bound is raised": (lambda e: {"lower": e["upper"]}, "does not attain"),
    "the bounds are far apart": (lambda e: {"upper": "0.9"}, "within 1 %"),
    "another law": (lambda e: {"law": ["1/4", "1/4", "1/3", "1/6"]}, "does not attain"),
    "no law": (lambda e: {"law": ["0", "1", "1", "0"]}, "no law of the family"),
    "more steps": (lambda e: {"N": 3}, "not proved"),
    "another pi": (lambda e: {"pi": ["1/3"], "law_pi": "1/3"}, "attain|proved|cover"),
    "a pi above 1/2": (lambda e: {"pi": ["2/3"], "law_pi": "2/3"}, "must lie in"),
    "a negative rate": (lambda e: {"rate": "-1"}, "must be positive"),
    "a division by zero": (lambda e: {"lower": "1/0"}, "is no number"),
}


@pytest.mark.parametrize("tamper", TAMPERED)
def test_a_tampered_certificate_is_refused(whole, tamper):
    change, message = TAMPERED[tamper]
    for entry in whole:
        with pytest.raises(ValueError, match=message):
            check(entry | change(entry))


def test_a_damaged_file_is_one_line_that_names_it(whole, tmp_path):
    path = tmp_path / "certificate.json"
    lowered = [whole[0], whole[1] | {"upper": whole[1]["lower"]}]
    for content, message in (
        ("{", "is not JSON"),
        ("{}", "lacks entries"),
        (json.dumps({"entries": []}), "no entry to verify"),
        (json.dumps({"entries": [{"N": 1}]}), "lacks"),
        (json.dumps({"entries": lowered}), "not proved"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message) as caught:
            verify(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)
    path.write_text(json.dumps({"entries": whole}))
    verify(path)


def test_the_checker_stands_alone():
    """It imports python-flint, the standard library, and its own two files."""
    own = {f"theory.certified.{name}" for name in ("check", "dual", "recurrence")}
    allowed = sys.stdlib_module_names | {"flint"}
    for name in own:
        source = Path(importlib.util.find_spec(name).origin).read_text("utf-8")
        for module in imported(ast.parse(source)):
            assert module in own or module.partition(".")[0] in allowed, (name, module)


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_record_has_the_whole_family():
    entries = entries_of()
    wanted = [title(entry) + str(entry["N"]) for entry in family()]
    assert [title(entry) + str(entry["N"]) for entry in entries] == wanted
    assert Path(RECORD).stat().st_size < 10**6
    lines = table(entries).splitlines()
    assert {line.count(" | ") for line in lines} == {len(STEPS) + 1}
