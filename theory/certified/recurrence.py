r"""The error of N product steps for two bits under one noise process. Part of the checker.

A bit keeps its value up to time t with probability $\alpha_t$; else it is redrawn and is a one with
probability $\pi$. Let e be the law generated so far minus $q_t$, and $s = 1$ for a one and $-1$
for a zero. Since e sums to 0, it is given by $X = \sum e(u,v) s_u$, $Y = \sum e(u,v) s_v$ and
$Z = \sum e(u,v) s_u s_v$, and $TV = \max(|X|/2, |Y|/2, |Z|/2, (|X|+|Y|+|Z|)/4)$.

A product step from t to s with means $f(u,v) = E[s_1 | u, v] = f_0 + f_1 s_u + f_2 s_v + f_3 s_u
s_v$ of the first bit and g of the second maps X to $f_1 X + f_2 Y + f_3 Z$, and Y and Z in the same
way with the coefficients of g and of f g. It has the marginals of the true step, so from $q_t$ it
misses only the covariance given the later bits: Z loses
$4\alpha_s^2 \det p_0 \sum_{u,v} k_u k_v / q_t(u,v)$, where $k_u = K(0,u) K(1,u)$ for the noise K
of a bit from s to t. Hence all of X, Y and Z are $\det p_0 = p(00)p(11) - p(01)p(10)$ times
something smooth, and that is what is enclosed. The law need not sum to 1: X is of degree one.
"""

import functools
import itertools
import operator
from fractions import Fraction
from typing import Any, Literal, TypedDict

from flint import arb, fmpq

from theory.certified.dual import Number, narrowed, share


class Entry(TypedDict):
    """What a certificate says about a process and a number of steps. Numbers are "1/4" or "0.25".

    Attributes:
        noise: masked noise, or noise that moves between the two states.
        pi: stationary probability of a one; two numbers for all values between. Masked noise has
            none, and the field is not used.
        rate: (a + b) T for constant rates a: 0 -> 1 and b: 1 -> 0; None if alpha falls linearly.
        N: number of steps on the uniform grid.
        lower: at most the supremum of N TV_N over all laws (and all pi).
        upper: at least this supremum.
        law: p(00), p(01), p(10), p(11) of a law that attains the lower bound.
        law_pi: the value of pi at which it does.
        trees: the boxes on which the upper bound is proved; see check.py.
    """

    noise: Literal["masked", "two-state"]
    pi: tuple[str] | tuple[str, str]
    rate: str | None
    N: int
    lower: str
    upper: str
    law: tuple[str, str, str, str]
    law_pi: str
    trees: dict[str, str]


Table = list[list[Number]]


def rational(text: str) -> fmpq:
    """An exact rational from "1/4" or "0.25"."""
    try:
        return fmpq(*Fraction(text).as_integer_ratio())
    except ZeroDivisionError:
        raise ValueError(f"{text} is no number") from None


def moved(law: Table, kernel: Table) -> Table:
    """The law of two bits after noise."""
    law = [[law[0][v] * kernel[0][u] + law[1][v] * kernel[1][u] for v in (0, 1)] for u in (0, 1)]
    return [[row[0] * kernel[0][v] + row[1] * kernel[1][v] for v in (0, 1)] for row in law]


def noise(pi: Number, ratio: Number) -> Table:
    """One bit stays with probability `ratio`, else it becomes a one with probability pi."""
    up, down = (1 - ratio) * pi, (1 - ratio) * (1 - pi)
    return [[1 - up, up], [down, 1 - down]]


def reverse(law: Table, late: Table, step: Table, ratio: Number, det: Number) -> tuple[Number, ...]:
    """The four coefficients of f; `law` is that before the noise, `late` that after it."""
    zero, one = ([row[0] * step[0][v] + row[1] * step[1][v] for v in (0, 1)] for row in law)
    f = [[share(one[v] * step[1][u], zero[v] * step[0][u]) for v in (0, 1)] for u in (0, 1)]
    if step[0][1] == 0:  # ones come from ones only
        f[1] = [1, 1]
    own = sum(f[1][v] * (1 - f[0][v]) for v in (0, 1)) * (ratio / (step[0][0] * step[1][1]) / 2)
    other: list[Number] = [0, 0]
    for u in (0, 1):
        if step[0][u] != 0:
            change = f[u][1] - f[u][0]
            if not isinstance(change, fmpq):
                slope = det * (step[0][u] * step[1][u] * ratio) / (late[u][0] * late[u][1])
                change = narrowed(slope, change)
            other[u] = change / 2
    return sum(f[0] + f[1]) / 2 - 1, own, other[0] + other[1], other[1] - other[0]


def plan(pi: Number, rate: Number | None, num_steps: int) -> list[tuple[Any, ...]]:
    """For each step, the last one first: noise up to it, its own noise, its ratio, alpha squared.

    Without a rate, alpha falls linearly from 1 to 0; else it is exp(-rate t/T).
    """
    if rate is None:
        alphas = [1 - fmpq(k, num_steps) for k in range(num_steps + 1)]
        alphas = alphas if isinstance(pi, fmpq) else [arb(a) for a in alphas]
    else:
        decay = (rate * fmpq(-1, num_steps)).exp()
        alphas = list(itertools.accumulate([decay] * num_steps, operator.mul, initial=arb(1)))
    pairs = list(itertools.pairwise(alphas))[::-1]
    return [(noise(pi, a), noise(pi, b / a), b / a, a * a) for a, b in pairs]


@functools.lru_cache
def fixed_plan(pi: str, rate: str | None, num_steps: int) -> list[tuple[Any, ...]]:
    """The same for one process, with balls."""
    return plan(arb(rational(pi)), rate and arb(rational(rate)), num_steps)


def errors(law: list[Number], det: Number, steps: list[tuple[Any, ...]]) -> tuple[Number, ...]:
    """X, Y and Z over det, for a law p(00), p(01), p(10), p(11)."""
    x = y = z = 0
    for to_early, step, ratio, square in steps:
        q = moved([law[:2], law[2:]], to_early)
        if to_early is not steps[0][0]:
            late = moved(q, step)
            turned = [list(row) for row in zip(*q, strict=True)]
            turned_late = [list(row) for row in zip(*late, strict=True)]
            f0, f1, f2, f3 = reverse(q, late, step, ratio, det * square)
            g0, g2, g1, g3 = reverse(turned, turned_late, step, ratio, det * square)
            h1 = f0 * g1 + f1 * g0 + f2 * g3 + f3 * g2
            h2 = f0 * g2 + f2 * g0 + f1 * g3 + f3 * g1
            h3 = f0 * g3 + f3 * g0 + f1 * g2 + f2 * g1
            x, y, z = x * f1 + y * f2 + z * f3, x * g1 + y * g2 + z * g3, x * h1 + y * h2 + z * h3
        # k_u k_v / q_t(u, v) is 1 / sum of q(a, b) / (K(1 - a, u) K(1 - b, v)): each K occurs once.
        used = [u for u in (0, 1) if step[0][u] != 0]
        inverse = [[1 / step[1 - a][u] if u in used else 0 for u in (0, 1)] for a in (0, 1)]
        sums = moved(q, inverse)
        lost = sum(1 / sums[u][v] for u in used for v in used)
        z = z - lost * square * 4
    return x, y, z


def scaled_errors(
    entry: Entry, law: list[Number], pi: Number, rate: Number | None, det: Number | None = None
) -> list[Number]:
    """N/4 times X, Y and Z. A narrower enclosure of the determinant may be given."""
    varies = isinstance(pi, fmpq) or len(entry["pi"]) == 2
    steps = (
        plan(pi, rate, entry["N"])
        if varies
        else fixed_plan(entry["pi"][0], entry["rate"], entry["N"])
    )
    det = law[0] * law[3] - law[1] * law[2] if det is None else det
    if entry["noise"] == "masked":  # the error is -det sum (alpha_(k-1) - alpha_k)^2 (s_u s_v)
        mass = law[0] + law[1] + law[2] + law[3]
        error = 0, 0, sum(square * (1 - ratio) ** 2 for *_, ratio, square in steps) * -4 / mass
    else:
        error = errors(law, det, steps)
    factor = det * fmpq(entry["N"], 4)
    return [e * factor for e in error]
