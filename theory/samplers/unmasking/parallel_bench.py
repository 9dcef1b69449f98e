r"""Two tasks of ParallelBench in closed form: what parallel generation loses.

One parallel step has at least a divergence C, the total correlation of the target law. For the two
tasks C is also $-\log P(\text{a valid output})$, since the product of the marginals gives every
valid output the same probability.

- Shuffle is a uniformly random order of n items. $C = n \log n - \log n!$, which grows with n like
  $n - \tfrac12 \log(2 \pi n)$ nats.
- Replace-Random puts a new item at one random position of n.
  $C = (n-1) [\log n - \log(n-1)]$, which rises to 1 nat (1.4427 bits) for long lists.

In k steps with batch sizes $s_t$ and $c_t = s_1 + \dots + s_{t-1}$ the divergence along every path
is the Riemann gap of the information curve (`information_curve.py`; this project). With
$f(m) = m \log m$ it is:

- Shuffle: $\sum_t s_t \log(n - c_t) - \log n!$.
- Replace-Random: $\frac1n \sum_t s_t [f(n - c_t) - f(n - c_t - 1)] - \log n$.

For Shuffle this is also the divergence of the law generated in random order, since a permutation
has the same probability along every path. For Replace-Random it is not.

Logarithms are natural and exact. Numbers in bits are rigorous enclosures.

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
    """The uniform law on the permutations of n items."""
    orders = list(itertools.permutations(range(n)))
    return dict.fromkeys(orders, Fraction(1, len(orders)))


def replace_law(n: int) -> Law:
    """The new item (1) is at one of n positions, all equally likely; the others are 0."""
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
    """(size, number of coordinates known before) of every batch."""
    if sum(sizes) != n:
        raise ValueError(f"sizes must sum to n = {n}; got {list(sizes)}")
    return list(zip(sizes, itertools.accumulate(sizes, initial=0), strict=False))


def bits(nats: LogSum) -> arb:
    """The number in bits, enclosed."""
    with precision():
        return nats.enclosure() / arb(2).log()


Task = tuple[str, Callable[[int], Law], Callable[[int], LogSum]]

TASKS: tuple[Task, ...] = (
    ("Shuffle", shuffle_law, shuffle_correlation),
    ("Replace-Random", replace_law, replace_correlation),
)


@claim(
    "parallel-bench",
    "One parallel step loses n log n - log n! nats on Shuffle and (n-1) [log n - log(n-1)] on "
    "Replace-Random.",
    group="beyond",
    source="Kang et al., ParallelBench (ICLR 2026)",
    hypotheses="n = 2..6, every output is enumerated, without rounding. The loss is the total "
    "correlation and also -log P(valid output)",
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
    "The exact engine and its sampler lose the same on both tasks, in bits.",
    group="beyond",
    source="Kang et al., ParallelBench (ICLR 2026)",
    hypotheses="n up to 5 and 12 in float64; enclosures of the logarithms to 128 bits",
)
def verify_dense(record: Record) -> None:
    for (name, law_of, closed_form), largest in zip(TASKS, (5, 12), strict=True):
        for n in range(2, largest + 1):
            num_states = n if name == "Shuffle" else 2
            probs = torch.zeros((num_states,) * n, dtype=torch.float64)
            for x, p in law_of(n).items():
                probs[x] = float(p)
            dense = float(total_correlation(probs.reshape(-1), n, num_states)) / math.log(2)
            ball = bits(closed_form(n))
            with precision():
                record.vanishes(float(abs(ball - dense).upper()), 1e-13, f"{name}, n = {n}")
            if n <= 4:
                output = product_composition(MaskedProcess(num_states), probs, [0.0, 1.0])
                valid = float(output[probs.reshape(-1) > 0].sum())
                record.equal(-math.log(valid), float(closed_form(n)), 1e-13, f"{name} sampler")


@claim(
    "parallel-bench-asymptotics",
    "For long lists one step loses n - log(2 pi n)/2 nats on Shuffle and 1 nat on Replace-Random.",
    group="beyond",
    source="Robbins (1955), A remark on Stirling's formula; the series of log(1 + x)",
    hypotheses="n = 2..400, rigorous. Shuffle loses between 1/(12n+1) and 1/12n less; "
    "Replace-Random between x/2 - x^2/3 and x/2 less, x = 1/(n-1)",
)
def verify_asymptotics(record: Record) -> None:
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
    "In k steps Shuffle loses sum_t s_t log(n - c_t) - log n!, and Replace-Random has a similar "
    "formula.",
    group="beyond",
    source="this project",
    hypotheses="n = 4 and 5, any batch sizes s_t, every path; c_t coordinates are known before "
    "batch t",
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
    "On Shuffle the generated law has the same divergence as every path, and it is -log P(valid "
    "output).",
    group="beyond",
    source="this project",
    hypotheses="random order, n = 4, any batch sizes; a permutation has the same probability along "
    "every path",
)
def verify_shuffle_output(record: Record) -> None:
    law = shuffle_law(4)
    for sizes in compositions(4):
        output = output_law(law, sizes)
        record.equal(kl(law, output), shuffle_in_steps(4, sizes), 0, f"sizes {sizes}")
        record.equal(-log(sum(output.values())), shuffle_in_steps(4, sizes), 0, f"valid {sizes}")


@claim(
    "parallel-bench-replace-output",
    "False in general: the generated law has the divergence of every path. On Replace-Random it "
    "has less.",
    group="fails",
    source="this project",
    hypotheses="random order, n = 4, k = 2, 3 batches",
)
def verify_replace_output(record: Record) -> None:
    law = replace_law(4)
    for sizes in compositions(4):
        if 1 < len(sizes) < 4:
            output = kl(law, output_law(law, sizes))
            record.exceeds(replace_in_steps(4, sizes), output, 0.005, f"sizes {sizes}")
