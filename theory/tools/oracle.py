"""The independent oracle: laws as dictionaries, every sum written out, for any number type.

The oracle shares no code with the library and imports only the standard library of Python. With
`fractions.Fraction` probabilities every result is exact. It is meant for tiny spaces, so it is
simple and slow.

A law maps states (tuples) to probabilities. The kernel of a coordinate is a list of rows
[from][to]; it need not be square, since masked noise maps S values to S + 1 states. Time runs from
data to noise.
"""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

Number = Fraction | float
State = tuple[int, ...]
Law = dict[State, Number]
Kernel = Sequence[Sequence[Number]]


def all_states(num_dims: int, num_states: int) -> list[State]:
    """Every state of S^D in lexicographic order."""
    return list(itertools.product(range(num_states), repeat=num_dims))


def law_from(values: Sequence[Number], num_dims: int, num_states: int) -> Law:
    """A law from its probabilities in lexicographic order."""
    return dict(zip(all_states(num_dims, num_states), values, strict=True))


def masked_kernel(ratio: Number, num_values: int, *, from_data: bool = False) -> list[list[Number]]:
    """Keep a value with probability `ratio`, else mask it; with `from_data` without a mask row."""
    zero = ratio * 0
    rows = [
        [ratio if v == w else zero for w in range(num_values)] + [1 - ratio]
        for v in range(num_values)
    ]
    return rows if from_data else [*rows, [zero] * num_values + [zero + 1]]


def uniform_kernel(ratio: Number, num_states: int) -> list[list[Number]]:
    """Keep a state with probability `ratio`, else redraw it uniformly."""
    noise = (1 - ratio) / num_states
    return [
        [noise + (ratio if v == w else 0) for w in range(num_states)] for v in range(num_states)
    ]


def two_state_kernel(rate_up: float, rate_down: float, elapsed: float) -> list[list[float]]:
    """The chain with rates rate_up: 0 -> 1 and rate_down: 1 -> 0 after a time `elapsed`."""
    total = rate_up + rate_down
    up, down = rate_up / total, rate_down / total
    decay = math.exp(-total * elapsed)
    return [[1 - up * (1 - decay), up * (1 - decay)], [down * (1 - decay), 1 - down * (1 - decay)]]


def falling_kernel(ratio: Number) -> list[list[Number]]:
    """The absorbing chain on {0, 1}: a one survives with probability `ratio`, a zero stays."""
    zero = ratio * 0
    return [[zero + 1, zero], [1 - ratio, ratio]]


def chance(kernel: Kernel, start: State, end: State) -> Number:
    """Probability that every coordinate moves from start to end."""
    return math.prod(kernel[a][b] for a, b in zip(start, end, strict=True))


def noised(law: Law, kernel: Kernel) -> Law:
    """The law after every coordinate has moved by the kernel."""
    for d in range(len(next(iter(law)))):
        moved: Law = {}
        for x, p in law.items():
            for v, move in enumerate(kernel[x[d]]):
                y = (*x[:d], v, *x[d + 1 :])
                moved[y] = moved.get(y, 0) + p * move
        law = moved
    return dict(sorted(law.items()))


def reverse_row(law_s: Law, kernel: Kernel, x_t: State) -> Law | None:
    """The true law of x_s given x_t, or None if x_t cannot be reached."""
    joint = {x: p * chance(kernel, x, x_t) for x, p in law_s.items()}
    total = sum(joint.values())
    return None if total == 0 else {x: p / total for x, p in joint.items()}


def marginals(law: Law) -> list[dict[int, Number]]:
    """The law of each coordinate."""
    num_dims = len(next(iter(law)))
    result: list[dict[int, Number]] = [{} for _ in range(num_dims)]
    for x, p in law.items():
        for d, v in enumerate(x):
            result[d][v] = result[d].get(v, 0) + p
    return result


def independent(law: Law) -> Law:
    """The product of the marginals, on the same states."""
    single = marginals(law)
    return {x: math.prod(single[d][v] for d, v in enumerate(x)) for x in law}


def product_step(law_t: Law, law_s: Law, kernel: Kernel) -> Law:
    """One marginal-matching product step from law_t to time s; law_s is the true law at time s.

    At a state that the true process cannot reach, each coordinate follows its own reverse kernel. A
    coordinate for which that is undefined too keeps its value.
    """
    result = dict.fromkeys(law_s, 0 * next(iter(law_t.values())))
    single_s = marginals(law_s)
    for x_t, p in law_t.items():
        if p == 0:
            continue
        row = reverse_row(law_s, kernel, x_t)
        if row is None:
            single = [_reverse_one(single_s[d], kernel, v) for d, v in enumerate(x_t)]
        else:
            single = marginals(row)
        for x_s in result:
            result[x_s] += p * math.prod(single[d].get(v, 0) for d, v in enumerate(x_s))
    return result


def _reverse_one(marginal: dict[int, Number], kernel: Kernel, value: int) -> dict[int, Number]:
    joint = {v: p * kernel[v][value] for v, p in marginal.items()}
    total = sum(joint.values())
    return {value: 1} if total == 0 else {v: p / total for v, p in joint.items()}


def compose(q_0: Law, kernels: Sequence[Kernel], start: Law | None = None) -> Law:
    """The law of x_0 after N product steps; kernels[k] is the noise from t_k to t_(k+1)."""
    laws = [q_0]
    for kernel in kernels:
        laws.append(noised(laws[-1], kernel))
    law = laws[-1] if start is None else start
    for law_s, kernel in zip(reversed(laws[:-1]), reversed(kernels), strict=True):
        law = product_step(law, law_s, kernel)
    return law


def total_variation(p: Law, q: Law) -> Number:
    """Half the sum of absolute differences over the union of the states."""
    return sum(abs(p.get(x, 0) - q.get(x, 0)) for x in p.keys() | q.keys()) / 2


def entropy(law: Law) -> float:
    """The entropy in nats."""
    return -math.fsum(float(p) * math.log(p) for p in law.values() if p > 0)


def kl(p: Law, q: Law) -> float:
    """KL(p || q) in nats; infinite if q gives probability 0 to a state of p."""
    if any(value > 0 and not q.get(x, 0) for x, value in p.items()):
        return math.inf
    return math.fsum(float(v) * math.log(v / q[x]) for x, v in p.items() if v > 0)


def total_correlation(law: Law) -> float:
    """The KL divergence to the product of the marginals, in nats."""
    return kl(law, independent(law))
