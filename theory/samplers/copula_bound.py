r"""No product denoiser has a negative ELBO below the entropy plus the total correlations.

The discrete-time bound on $-\log p$ that diffusion models are trained with is

$$\mathrm{NELBO} = \mathbb{E}\Big[ \mathrm{KL}(q(x_{t_N} | x_0) \| \pi)
  + \sum_{k \ge 2} \mathrm{KL}(q(x_{t_{k-1}} | x_{t_k}, x_0) \| p(x_{t_{k-1}} | x_{t_k}))
  - \log p(x_0 | x_{t_1}) \Big].$$

If every $p(\cdot | x_{t_k})$ is a product over the coordinates, then

$$\mathrm{NELBO} = H(q_0) + \sum_k \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} \mid x_{t_k})
  + \mathrm{KL}(q_{t_N} \| \pi) + \sum_k \mathbb{E} \sum_d
  \mathrm{KL}(q^d_{t_{k-1} | t_k} \| p^d_{t_{k-1} | t_k}),$$

so the first two terms are a floor, reached if and only if the start is $q_{t_N}$ and every marginal
is matched (where $q_{t_k} > 0$). What a product model lacks cannot be trained away. A denoiser that
is not a product can go below: the true reverse kernel reaches $H(q_0)$.

Source: Liu et al., Discrete Copula Diffusion (ICLR 2025; arXiv 2410.01949); the two remaining terms
by the chain rule. Everything in rationals, without rounding.
"""

import functools
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.exact_logs import LogSum, entropy, kl, total, weighted_logs
from theory.tools.laws import rational_law
from theory.tools.oracle import Kernel, Law, State

Denoiser = Sequence[dict[State, Law]]  # per step: x_{t_k} with q > 0 -> law of x_{t_{k-1}}


@dataclass(frozen=True)
class Chain:
    """The noised laws q_{t_0}, ..., q_{t_N} and the coordinate kernels between them."""

    laws: Sequence[Law]
    kernels: Sequence[Kernel]

    @classmethod
    def of(cls, law: Law, kernels: Sequence[Kernel]) -> "Chain":
        """Noise a data law."""
        laws = [law]
        for kernel in kernels:
            laws.append(oracle.noised(laws[-1], kernel))
        return cls(laws, kernels)

    @functools.cached_property
    def true_reverse(self) -> Denoiser:
        """The true reverse kernels, not products."""
        return [
            {x: oracle.reverse_row(law_s, kernel, x) for x, p in law_t.items() if p}
            for law_s, law_t, kernel in zip(self.laws, self.laws[1:], self.kernels, strict=False)
        ]

    def marginal_matching(self) -> Denoiser:
        """The products of their marginals."""
        return [{x: oracle.independent(r) for x, r in step.items()} for step in self.true_reverse]

    def from_data(self, end: int) -> dict[State, Law]:
        """q(x_{t_end} | x_0) for every x_0 of the data."""
        rows = {}
        for x_0, p in self.laws[0].items():
            if p:
                row = {x: Fraction(x == x_0) for x in self.laws[0]}
                for kernel in self.kernels[:end]:
                    row = oracle.noised(row, kernel)
                rows[x_0] = row
        return rows


def worse_denoiser(chain: Chain, rng: random.Random) -> Denoiser:
    """A product denoiser whose marginals are the true ones, randomly reweighted."""

    def reweighted(row: Law) -> Law:
        singles = []
        for single in oracle.marginals(row):
            weights = {v: p * rng.randint(1, 3) for v, p in single.items()}
            singles.append({v: w / sum(weights.values()) for v, w in weights.items()})
        return {x: math.prod(singles[d][v] for d, v in enumerate(x)) for x in row}

    return [{x: reweighted(row) for x, row in step.items()} for step in chain.true_reverse]


def negative_elbo(chain: Chain, denoiser: Denoiser, start: Law) -> LogSum:
    """Left side, term by term from the posteriors q(x_{t_{k-1}} | x_{t_k}, x_0)."""
    return weighted_logs(_elbo_terms(chain, denoiser, start))


def _elbo_terms(
    chain: Chain, denoiser: Denoiser, start: Law
) -> Iterator[tuple[Fraction, Fraction]]:
    data, steps = chain.laws[0], len(chain.kernels)
    for x_0, row in chain.from_data(steps).items():
        for x, p in row.items():
            if p:
                yield data[x_0] * p, p / start[x]
    for k in range(2, steps + 1):
        earlier, later = chain.from_data(k - 1), chain.from_data(k)
        for x_0, row in earlier.items():
            for (x_s, p), x_t in itertools.product(row.items(), denoiser[k - 1]):
                joint = p * oracle.chance(chain.kernels[k - 1], x_s, x_t)
                if joint:
                    posterior = joint / later[x_0][x_t]
                    yield data[x_0] * joint, posterior / denoiser[k - 1][x_t][x_s]
    for x_0, row in chain.from_data(1).items():
        for x, p in row.items():
            if p:
                yield data[x_0] * p, 1 / denoiser[0][x][x_0]


def copula_floor(chain: Chain) -> LogSum:
    """Right side: H(q_0) plus the mean total correlations of the true reverse rows."""
    correlations = [
        {x: _total_correlation(row) for x, row in step.items()} for step in chain.true_reverse
    ]
    return entropy(chain.laws[0]) + _mean(chain, correlations)


def marginal_mismatch(chain: Chain, denoiser: Denoiser) -> LogSum:
    """What a product denoiser adds: the mean divergences of its marginals from the true ones."""
    mismatch = [
        {x: _coordinate_divergence(row, model[x]) for x, row in step.items()}
        for step, model in zip(chain.true_reverse, denoiser, strict=True)
    ]
    return _mean(chain, mismatch)


def _mean(chain: Chain, values: Iterable[dict[State, LogSum]]) -> LogSum:
    pairs = zip(chain.laws[1:], values, strict=True)
    return total(law[x] * value for law, step in pairs for x, value in step.items())


def _total_correlation(law: Law) -> LogSum:
    return total(map(entropy, oracle.marginals(law))) - entropy(law)


def _coordinate_divergence(p: Law, q: Law) -> LogSum:
    return total(map(kl, oracle.marginals(p), oracle.marginals(q)))


def cases() -> Iterator[tuple[str, Chain]]:
    """Masked and uniform noise on pairs and triples, one to three steps, zeros in some laws."""
    rng = random.Random(0)
    for num_dims, num_values, least, steps in (
        (2, 2, 1, 1),
        (2, 2, 1, 3),
        (2, 2, -3, 2),
        (2, 3, 1, 2),
        (3, 2, -3, 1),
    ):
        law = rational_law(rng, num_dims, num_values, least)
        ratios = [Fraction(rng.randint(1, 5), 6) for _ in range(steps)]
        masked = [
            oracle.masked_kernel(r, num_values, from_data=k == 0) for k, r in enumerate(ratios)
        ]
        yield f"masked {num_values}^{num_dims}", Chain.of(law, masked)
        uniform = [oracle.uniform_kernel(r, num_values) for r in ratios]
        yield f"uniform {num_values}^{num_dims}", Chain.of(law, uniform)


@claim(
    "copula-bound-equality",
    "NELBO = H(q_0) + sum_k E TC(x_{k-1} | x_k) for the product of true marginals",
    group="beyond",
    source="Liu et al., Discrete Copula Diffusion (ICLR 2025)",
    hypotheses="start q_T; masked and uniform, zeros in some laws; without rounding",
)
def verify_equality(record: Record) -> None:
    for name, chain in cases():
        left = negative_elbo(chain, chain.marginal_matching(), chain.laws[-1])
        record.equal(left, copula_floor(chain), 0, name)


@claim(
    "copula-bound",
    "any other product denoiser: more, by exactly sum_k E sum_d KL of its marginals",
    group="beyond",
    source="Liu et al., Discrete Copula Diffusion (ICLR 2025); the excess: chain rule",
    hypotheses="products over the coordinates",
)
def verify_floor(record: Record) -> None:
    rng = random.Random(1)
    for name, chain in cases():
        floor = copula_floor(chain)
        for _ in range(2):
            denoiser = worse_denoiser(chain, rng)
            left = negative_elbo(chain, denoiser, chain.laws[-1])
            record.at_most(floor, left, name)
            record.equal(left, floor + marginal_mismatch(chain, denoiser), 0, name)


@claim(
    "copula-bound-prior",
    "from a prior: KL(q_T || prior) more",
    group="beyond",
    source="chain rule",
    hypotheses="prior positive where q_T is",
)
def verify_start(record: Record) -> None:
    """Uniform noise started from the prior: the divergence of the start is added."""
    for name, chain in cases():
        if name.startswith("uniform"):
            q_t = chain.laws[-1]
            prior = dict.fromkeys(q_t, Fraction(1, len(q_t)))
            left = negative_elbo(chain, chain.marginal_matching(), prior)
            record.equal(left, copula_floor(chain) + kl(q_t, prior), 0, name)


@claim(
    "copula-bound-products-only",
    "False in general: the floor holds for every denoiser",
    group="fails",
    source="this project",
    hypotheses="fails for correlated ones: the true reverse kernel reaches H(q_0)",
)
def verify_products_only(record: Record) -> None:
    for name, chain in cases():
        left = negative_elbo(chain, chain.true_reverse, chain.laws[-1])
        record.equal(left, entropy(chain.laws[0]), 0, f"the true reverse kernel, {name}")
        record.exceeds(copula_floor(chain), left, 0.001, name)
