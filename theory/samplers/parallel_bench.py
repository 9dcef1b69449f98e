r"""Two tasks of ParallelBench in closed form: what parallel generation must lose.

The total correlation C of the target law is the least divergence that one parallel step can have.
For these two tasks it is also $-\log P(\text{a valid output})$, since the product of the marginals
gives every valid output the same probability.

- Shuffle, a uniformly random order of n items: $C = n \log n - \log n!$, which grows with n like
  $n - \tfrac12 \log(2 \pi n)$ nats.
- Replace-Random, one random position out of n receives a new item:
  $C = (n-1) [\log n - \log(n-1)]$, which rises to 1 nat (1.4427 bits), however long the list.

In k steps with batch sizes $s_t$, $c_t = s_1 + \dots + s_{t-1}$, the divergence along every path is
the Riemann gap of the information curve (`information_curve.py`; this project). With
$f(m) = m \log m$:

- Shuffle: $\sum_t s_t \log(n - c_t) - \log n!$.
- Replace-Random: $\frac1n \sum_t s_t [f(n - c_t) - f(n - c_t - 1)] - \log n$.

A permutation has the same probability along every path, so for Shuffle this is also the divergence
of the generated law in random order: equality in Jensen's inequality. For Replace-Random it is not.

Logarithms are natural and exact; divided by log 2 they carry rigorous enclosures in bits.

Source: Kang et al., ParallelBench (ICLR 2026; arXiv 2510.04767).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from flint import arb

from di4c.exact import product_composition, total_correlation
from di4c.processes import MaskedProcess
from theory.claim import Record, claim
from theory.tools.enclosures import precision
from theory.tools.exact_logs import ZERO, LogSum, kl, log, total
from theory.tools.oracle import Law, independent
from theory.tools.unmasking import compositions, ordered_partitions, output_law, path_law


def shuffle_law(n: int) -> Law:
    """Uniform on the permutations of n items."""
    orders = list(itertools.permutations(range(n)))
    return dict.fromkeys(orders, Fraction(1, len(orders)))


def replace_law(n: int) -> Law:
    """One of n positions, uniformly, holds the new item (1), the others the old ones (0)."""
    return {tuple(int(i == j) for i in range(n)): Fraction(1, n) for j in range(n)}


def shuffle_correlation(n: int) -> LogSum:
    r"""$n \log n - \log n!$ nats."""
    return n * log(n) - log(math.factorial(n))


def replace_correlation(n: int) -> LogSum:
    r"""$(n-1) [\log n - \log(n-1)]$ nats, n >= 2."""
    return (n - 1) * (log(n) - log(n - 1))


def shuffle_in_steps(n: int, sizes: Sequence[int]) -> LogSum:
    r"""$\sum_t s_t \log(n - c_t) - \log n!$ nats."""
    terms = (s * log(n - known) for s, known in _batches(n, sizes))
    return total(terms) - log(math.factorial(n))


def replace_in_steps(n: int, sizes: Sequence[int]) -> LogSum:
    r"""$\frac1n \sum_t s_t [f(n - c_t) - f(n - c_t - 1)] - \log n$ nats, f(m) = m log m."""

    def f(m: int) -> LogSum:
        return m * log(m) if m else ZERO

    batches = _batches(n, sizes)
    terms = (Fraction(s, n) * (f(n - known) - f(n - known - 1)) for s, known in batches)
    return total(terms) - log(n)


def _batches(n: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(size, number of coordinates known before it) of every batch."""
    if sum(sizes) != n:
        raise ValueError(f"sizes must sum to n = {n}; got {list(sizes)}")
    return list(zip(sizes, itertools.accumulate(sizes, initial=0), strict=False))


def bits(nats: LogSum) -> arb:
    """An enclosure in bits."""
    with precision():
        return nats.enclosure() / arb(2).log()


Task = tuple[str, Callable[[int], Law], Callable[[int], LogSum]]

TASKS: tuple[Task, ...] = (
    ("Shuffle", shuffle_law, shuffle_correlation),
    ("Replace-Random", replace_law, replace_correlation),
)


@claim(
    "parallel-bench",
    "C = n log n - log n! (Shuffle), (n-1)[log n - log(n-1)] (Replace-Random)",
    group="beyond",
    source="Kang et al., ParallelBench (ICLR 2026)",
    hypotheses="n = 2..6, every output enumerated, without rounding; = -log P(valid)",
)
def verify_one_step(record: Record) -> None:
    for name, law_of, closed_form in TASKS:
        for n in range(2, 7):
            law = law_of(n)
            product = independent(law)
            record.equal(kl(law, product), closed_form(n), 0, f"{name}, n = {n}")
            record.equal(-log(sum(product.values())), closed_form(n), 0, f"{name} valid, n = {n}")


@claim(
    "parallel-bench-bits",
    "the same from the exact engine and its sampler, in bits",
    group="beyond",
    source="Kang et al., ParallelBench (ICLR 2026)",
    hypotheses="enclosures of the logarithms at 128 bits",
)
def verify_dense(record: Record) -> None:
    """The exact engine in float64 against the enclosures in bits."""
    for (name, law_of, closed_form), largest in zip(TASKS, (5, 12), strict=True):
        for n in range(2, largest + 1):
            num_states = n if name == "Shuffle" else 2
            probs = torch.zeros((num_states,) * n, dtype=torch.float64)
            for x, p in law_of(n).items():
                probs[x] = float(p)
            dense = float(total_correlation(probs.reshape(-1), n, num_states)) / math.log(2)
            ball = bits(closed_form(n))
            with precision():
                record.equal(float(abs(ball - dense).upper()), 0.0, 1e-13, f"{name}, n = {n}")
            if n <= 4:
                output = product_composition(MaskedProcess(num_states), probs, [0.0, 1.0])
                valid = float(output[probs.reshape(-1) > 0].sum())
                record.equal(-math.log(valid), float(closed_form(n)), 1e-13, f"{name} sampler")


@claim(
    "parallel-bench-asymptotics",
    "n - C - log(2 pi n)/2 in (1/(12n+1), 1/12n); 1 - C in (x/2 - x^2/3, x/2)",
    group="beyond",
    source="Robbins 1955; series of log(1 + x), x = 1/(n-1)",
    hypotheses="n = 2..400, nats, rigorous",
)
def verify_asymptotics(record: Record) -> None:
    """Two-sided bounds for n up to 400: Robbins' form of Stirling's formula; a series of log."""
    for n in range(2, 401):
        with precision():
            stirling = n - (2 * arb.pi() * n).log() / 2 - shuffle_correlation(n).enclosure()
            replace = 1 - replace_correlation(n).enclosure()
        what = f"Shuffle, n = {n}"
        record.at_most(1 / (12 * n + 1), float(stirling.lower()), what)
        record.at_most(float(stirling.upper()), 1 / (12 * n), what)
        x = 1 / (n - 1)
        what = f"Replace-Random, n = {n}"
        record.at_most(x / 2 - x**2 / 3, float(replace.lower()), what)
        record.at_most(float(replace.upper()), x / 2, what)


@claim(
    "parallel-bench-steps",
    "k steps: sum_t s_t log(n - c_t) - log n!; its like for Replace-Random",
    group="beyond",
    source="this project",
    hypotheses="any batch sizes, every path; n = 4, 5",
)
def verify_steps(record: Record) -> None:
    for name, law, closed_form in (
        ("Shuffle", shuffle_law(4), shuffle_in_steps),
        ("Replace-Random", replace_law(5), replace_in_steps),
    ):
        n = len(next(iter(law)))
        for sizes in compositions(n):
            right = closed_form(n, sizes)
            for partition in ordered_partitions(range(n), sizes):
                record.equal(kl(law, path_law(law, partition)), right, 0, f"{name}, {partition}")


@claim(
    "parallel-bench-shuffle-output",
    "Shuffle: the KL of the generated law is the KL along each path = -log P(valid)",
    group="beyond",
    source="this project",
    hypotheses="random order; every order of the items has one probability on all paths",
)
def verify_shuffle_output(record: Record) -> None:
    law = shuffle_law(4)
    for sizes in compositions(4):
        output = output_law(law, sizes)
        record.equal(kl(law, output), shuffle_in_steps(4, sizes), 0, f"sizes {sizes}")
        record.equal(-log(sum(output.values())), shuffle_in_steps(4, sizes), 0, f"valid {sizes}")


@claim(
    "parallel-bench-replace-output",
    "False in general: Replace-Random: the KL of the generated law is the KL along each path",
    group="fails",
    source="this project",
    hypotheses="fails for 1 < k < n",
)
def verify_replace_output(record: Record) -> None:
    law = replace_law(4)
    for sizes in compositions(4):
        if 1 < len(sizes) < 4:
            output = kl(law, output_law(law, sizes))
            record.exceeds(replace_in_steps(4, sizes), output, 0.005, f"sizes {sizes}")
