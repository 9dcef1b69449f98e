r"""The checker of certificates: for all laws of two bits, N TV_N is at most a stated number.

It uses python-flint, the standard library, dual.py and recurrence.py, and nothing of the search.

A law is a point of three cubes: one for each place of its largest probability, which is set to 1.
(Swapping the bits makes one cube serve 01 and 10.) A tree halves a cube, and the interval of pi if
there is one, until a bound holds on each box. It is a word: a digit halves that coordinate, "."
is a box on which the bound is proved, "m" a box whose mirror image is covered.
"""

from collections.abc import Callable
from itertools import product

from flint import arb, ctx, fmpq

from theory.certified.dual import Dual, Number
from theory.certified.recurrence import Entry, rational, scaled_errors

CUBES = {"00": 0, "01": 1, "11": 3}
BITS = 64
FACES = [tuple(2 * s * (i == j) for j in range(3)) for i in range(3) for s in (1, -1)]
FACES += list(product((1, -1), repeat=3))  # 4 TV is the largest of these sums of X, Y and Z

Box = list[tuple[fmpq, fmpq]]


def check(entry: Entry, tick: Callable[[], object] = lambda: None) -> None:
    """Verify one process and number of steps; `tick` is called for each box.

    Raises:
        ValueError: if the bounds are not proved.
    """
    lower, upper = rational(entry["lower"]), rational(entry["upper"])
    first, last = rational(entry["pi"][0]), rational(entry["pi"][-1])
    if not (0 <= first <= last <= fmpq(1, 2) and len(entry["pi"]) <= 2 and 1 <= entry["N"] <= 64):
        raise ValueError("pi must lie in [0, 1/2] and N in 1..64")
    if entry["rate"] is not None and rational(entry["rate"]) <= 0:
        raise ValueError("rate must be positive")
    if not 0 < lower <= upper <= lower * fmpq(101, 100):
        raise ValueError("the upper bound is not within 1 % above the lower bound")
    with ctx.workprec(BITS):
        if not attained(entry) >= lower:
            raise ValueError("the law does not attain the lower bound")
        for cube in cubes(entry):
            _check_tree(entry, cube, upper, tick)


def cubes(entry: Entry) -> list[str]:
    """Where the largest probability may lie. If flipping a bit changes nothing, one is enough."""
    return ["01"] if entry["noise"] == "masked" or tuple(entry["pi"]) == ("1/2",) else list(CUBES)


def start(entry: Entry) -> Box:
    """The box of all laws in a cube, and of pi if it varies."""
    cube = [(fmpq(0), fmpq(1))] * 3
    return [*cube, tuple(map(rational, entry["pi"]))] if len(entry["pi"]) == 2 else cube


def halves(box: Box, axis: int) -> tuple[Box, Box]:
    """The box cut in the middle of a coordinate."""
    low, high = box[axis]
    middle = (low + high) / 2
    before, after = box[:axis], box[axis + 1 :]
    return [*before, (low, middle), *after], [*before, (middle, high), *after]


def mirrored(cube: str, box: Box) -> bool:
    """Whether p(01) <= p(10) on the box, in a cube that swapping the bits maps to itself."""
    first = {"00": 0, "11": 1}.get(cube)
    return first is not None and box[first][1] <= box[first + 1][0]


def attained(entry: Entry) -> Number:
    """N TV_N at the recorded law: a rational for the linear schedule, a ball otherwise."""
    law, pi = [rational(p) for p in entry["law"]], rational(entry["law_pi"])
    first, last = rational(entry["pi"][0]), rational(entry["pi"][-1])
    if len(law) != 4 or min(law) < 0 or sum(law) != 1 or not first <= pi <= last:
        raise ValueError("the law that attains the lower bound is no law of the family")
    rate = entry["rate"] and arb(rational(entry["rate"]))
    x, y, z = map(abs, scaled_errors(entry, law, pi, rate))
    return max(2 * x, 2 * y, 2 * z, x + y + z)


def _check_tree(entry: Entry, cube: str, upper: fmpq, tick: Callable[[], object]) -> None:
    left = [start(entry)]
    axes = "0123"[: len(left[0])]
    for sign in entry["trees"].get(cube, ""):
        box = left.pop() if left else None
        if box and sign in axes:
            left.extend(reversed(halves(box, int(sign))))
        elif box and sign == "m" and mirrored(cube, box):
            pass
        elif not (box and sign == "." and blur(entry, CUBES[cube], box, upper) is None):
            raise ValueError(f"the upper bound is not proved on a box of the laws around {cube}")
        tick()
    if left:
        raise ValueError(f"the boxes do not cover the laws around {cube}")


def blur(entry: Entry, one: int, box: Box, upper: fmpq) -> list[arb] | None:
    """None if the bound holds on the box, else how much each coordinate widens the estimate."""
    balls = [arb(low).union(arb(high)) for low, high in box]
    low, high = ([*ends[:one], fmpq(1), *ends[one:3]] for ends in zip(*box, strict=True))
    least, most = (arb(a[0] * a[3] - b[1] * b[2]) for a, b in ((low, high), (high, low)))
    det = least.union(most)
    value, mass = _on(entry, one, balls, det)
    left = [face for face in FACES if not _sum(face, value) <= mass * upper]
    if not left:
        return None
    duals = [Dual(b, [arb(i == j) for j in range(len(box))]) for i, b in enumerate(balls)]
    law = [*duals[:one], 1, *duals[one:3]]
    duals_det = Dual(det, (law[0] * law[3] - law[1] * law[2]).slopes)
    value, mass = _on(entry, one, duals, duals_det)
    worst = None
    for face in left:
        slopes = (_sum(face, value) - mass * upper).slopes
        # The mean value theorem, from the corner to which the function rises.
        ends = list(zip(slopes, box, strict=True))
        at = [b if s > 0 else a if s < 0 else (a + b) / 2 for s, (a, b) in ends]
        more = [0 if s > 0 or s < 0 else abs(s) * (b - a) / 2 for s, (a, b) in ends]
        height, weight = _on(entry, one, [arb(x) for x in at], None)
        if not _sum(face, height) + sum(more) <= weight * upper:
            wide = [s.rad() * (b - a) + m for m, (s, (a, b)) in zip(more, ends, strict=True)]
            worst = (
                wide if worst is None else [max(*pair) for pair in zip(worst, wide, strict=True)]
            )
    return worst


def _on(
    entry: Entry, one: int, free: list[Number], det: Number | None
) -> tuple[list[Number], Number]:
    """N/4 (X, Y, Z) and the mass of the law, at a point or on a box."""
    law = [*free[:one], arb(1), *free[one:3]]
    pi = free[3] if len(free) == 4 else arb(rational(entry["pi"][0]))
    rate = entry["rate"] and arb(rational(entry["rate"]))
    return scaled_errors(entry, law, pi, rate, det), law[0] + law[1] + law[2] + law[3]


def _sum(face: tuple[int, ...], values: list[Number]) -> Number:
    return sum(w * value for w, value in zip(face, values, strict=True) if w)
