"""Branch and bound: finds a good law, then boxes on which the checker can prove an upper bound.

The search proves nothing itself. Whatever it writes is verified by check.py.
"""

from collections.abc import Callable
from itertools import permutations

from flint import arb, ctx, fmpq

from theory.certified.check import BITS, CUBES, Box, attained, blur, cubes, halves, mirrored
from theory.certified.check import start as all_laws
from theory.certified.recurrence import Entry, rational, scaled_errors

DIGITS = 10**6  # the bounds have six decimals
ELONGATION = 16  # no box is that many times longer than wide, relative to the first one
STARTS = ((0, 500, 500, 0), (500, 0, 0, 500), (0, 480, 480, 40))  # laws in thousandths


def certify(entry: Entry, share: Callable[[float], object] = lambda _: None) -> Entry:
    """Fill in the law, both bounds and the boxes.

    Args:
        entry: noise, pi, rate and N; the rest is replaced.
        share: called with the share of the work that a finished box is.

    Returns:
        A complete entry.
    """
    with ctx.workprec(BITS):
        law, pi = best_law(entry)
        entry = entry | {"law": [str(fmpq(w, 1000)) for w in law], "law_pi": str(pi)}
        lower = _floor(attained(entry))
        upper = _floor(lower * fmpq(101, 100))
        entry |= {"lower": decimal(lower), "upper": decimal(upper)}
        chosen = cubes(entry)
        trees = {c: grow(entry, c, upper, lambda s: share(s / len(chosen))) for c in chosen}
    return entry | {"trees": trees}


def best_law(entry: Entry) -> tuple[tuple[int, ...], fmpq]:
    """A law in thousandths, and pi, with a large N TV_N: moves of mass between two states."""
    first, last = rational(entry["pi"][0]), rational(entry["pi"][-1])
    pis = [first + (last - first) * fmpq(k, 4) for k in range(5)] if first < last else [first]
    reached: dict[tuple[tuple[int, ...], fmpq], float] = {}

    def height(law: tuple[int, ...], pi: fmpq) -> float:
        if (law, pi) not in reached:
            rate = entry["rate"] and arb(rational(entry["rate"]))
            weights = [arb(w) / 1000 for w in law]
            x, y, z = (abs(float(e.mid())) for e in scaled_errors(entry, weights, arb(pi), rate))
            reached[law, pi] = max(2 * x, 2 * y, 2 * z, x + y + z)
        return reached[law, pi]

    for pi in pis:
        for law in STARTS:
            for move in (50, 10, 2, 1):
                while True:
                    near = [_moved(law, i, j, move) for i, j in permutations(range(4), 2)]
                    best = max(near, key=lambda law: height(law, pi))
                    if height(best, pi) <= height(law, pi) + 1e-12:
                        break
                    law = best
    return max(reached, key=lambda where: reached[where])


def _moved(law: tuple[int, ...], source: int, target: int, by: int) -> tuple[int, ...]:
    by = min(by, law[source])
    return tuple(w - by * (i == source) + by * (i == target) for i, w in enumerate(law))


def grow(entry: Entry, cube: str, upper: fmpq, share: Callable[[float], object]) -> str:
    """The tree of a cube: halve a box where the estimate is widest until it is proved."""
    root, signs = all_laws(entry), []
    stack: list[tuple[Box, float]] = [(root, 1.0)]
    while stack:
        box, size = stack.pop()
        if mirrored(cube, box):
            signs.append("m")
        elif (wide := blur(entry, CUBES[cube], box, upper)) is None:
            signs.append(".")
        else:
            axis = _axis(wide, box, root)
            signs.append(str(axis))
            stack.extend((half, size / 2) for half in reversed(halves(box, axis)))
            continue
        share(size)
    return "".join(signs)


def _axis(wide: list[arb], box: Box, root: Box) -> int:
    edges = [float((b - a) / (d - c)) for (a, b), (c, d) in zip(box, root, strict=True)]
    if max(edges) > ELONGATION * min(edges):
        return edges.index(max(edges))
    scores = [(float(w.abs_upper()) if w.is_finite() else 1e300) for w in map(arb, wide)]
    return max(range(len(box)), key=lambda axis: (scores[axis], edges[axis]))


def _floor(value: fmpq | arb) -> fmpq:
    """The largest number with six decimals that is certainly not above the value."""
    scaled = value * DIGITS
    whole = scaled.floor() if isinstance(scaled, fmpq) else scaled.lower().floor().unique_fmpz()
    return fmpq(whole, DIGITS)


def decimal(value: fmpq) -> str:
    """A rational with six decimals as text."""
    whole, part = divmod(int(value * DIGITS), DIGITS)
    return f"{whole}.{part:06d}"
