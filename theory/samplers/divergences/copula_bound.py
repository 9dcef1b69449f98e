r"""No product denoiser has a negative ELBO below the entropy plus the total correlations.

Diffusion models are trained with a bound on $-\log p$. In discrete time it is

$$\mathrm{NELBO} = \mathbb{E}\Big[ \mathrm{KL}(q(x_{t_N} | x_0) \| \pi)
  + \sum_{k \ge 2} \mathrm{KL}(q(x_{t_{k-1}} | x_{t_k}, x_0) \| p(x_{t_{k-1}} | x_{t_k}))
  - \log p(x_0 | x_{t_1}) \Big].$$

If every $p(\cdot | x_{t_k})$ is a product over the coordinates, then

$$\mathrm{NELBO} = H(q_0) + \sum_k \mathbb{E}\, \mathrm{TC}(x_{t_{k-1}} \mid x_{t_k})
  + \mathrm{KL}(q_{t_N} \| \pi) + \sum_k \mathbb{E} \sum_d
  \mathrm{KL}(q^d_{t_{k-1} | t_k} \| p^d_{t_{k-1} | t_k}),$$

The first two terms are a lower bound. It is reached if and only if the start is $q_{t_N}$ and every
marginal is matched where $q_{t_k} > 0$. No training lowers the loss of a product model further. A
denoiser that is not a product can go below: the true reverse kernel reaches $H(q_0)$.

Source: Liu et al., Discrete Copula Diffusion (ICLR 2025; arXiv 2410.01949). The last two terms
follow from the chain rule. Everything is computed in rationals, without rounding.
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

Denoiser = Sequence[dict[State, Law]]
"""For each step, the law of x_{t_{k-1}} given every x_{t_k} of positive probability."""


@dataclass(frozen=True)
class NoisedLaws:
    """The laws q_{t_0}, ..., q_{t_N} and the kernels of one coordinate between them."""

    laws: Sequence[Law]
    kernels: Sequence[Kernel]

    @classmethod
    def of(cls, law: Law, kernels: Sequence[Kernel]) -> "NoisedLaws":
        """Noise a data law by one kernel after the other."""
        laws = [law]
        for kernel in kernels:
            laws.append(oracle.noised(laws[-1], kernel))
        return cls(laws, kernels)

    @functools.cached_property
    def true_reverse(self) -> Denoiser:
        """The true reverse kernels, which are not products."""
        return [
            {x: oracle.reverse_row(law_s, kernel, x) for x, p in law_t.items() if p}
            for law_s, law_t, kernel in zip(self.laws, self.laws[1:], self.kernels, strict=False)
        ]

    def marginal_matching(self) -> Denoiser:
        """The products of the marginals of the true reverse kernels."""
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


def worse_denoiser(noised: NoisedLaws, rng: random.Random) -> Denoiser:
    """A product denoiser; its marginals are the true ones with random weights."""

    def reweighted(row: Law) -> Law:
        singles = []
        for single in oracle.marginals(row):
            weights = {v: p * rng.randint(1, 3) for v, p in single.items()}
            singles.append({v: w / sum(weights.values()) for v, w in weights.items()})
        return {x: math.prod(singles[d][v] for d, v in enumerate(x)) for x in row}

    return [{x: reweighted(row) for x, row in step.items()} for step in noised.true_reverse]


def negative_elbo(noised: NoisedLaws, denoiser: Denoiser, start: Law) -> LogSum:
    """The left side, term by term from the posteriors q(x_{t_{k-1}} | x_{t_k}, x_0)."""
    return weighted_logs(_elbo_terms(noised, denoiser, start))


def _elbo_terms(
    noised: NoisedLaws, denoiser: Denoiser, start: Law
) -> Iterator[tuple[Fraction, Fraction]]:
    data, steps = noised.laws[0], len(noised.kernels)
    for x_0, row in noised.from_data(steps).items():
        for x, p in row.items():
            if p:
                yield data[x_0] * p, p / start[x]
    for k in range(2, steps + 1):
        earlier, later = noised.from_data(k - 1), noised.from_data(k)
        for x_0, row in earlier.items():
            for (x_s, p), x_t in itertools.product(row.items(), denoiser[k - 1]):
                joint = p * oracle.chance(noised.kernels[k - 1], x_s, x_t)
                if joint:
                    posterior = joint / later[x_0][x_t]
                    yield data[x_0] * joint, posterior / denoiser[k - 1][x_t][x_s]
    for x_0, row in noised.from_data(1).items():
        for x, p in row.items():
            if p:
                yield data[x_0] * p, 1 / denoiser[0][x][x_0]


def copula_bound(noised: NoisedLaws) -> LogSum:
    """The lower bound: H(q_0) plus the mean total correlations of the true reverse rows."""
    correlations = [
        {x: _total_correlation(row) for x, row in step.items()} for step in noised.true_reverse
    ]
    return entropy(noised.laws[0]) + _mean(noised, correlations)


def marginal_mismatch(noised: NoisedLaws, denoiser: Denoiser) -> LogSum:
    """The mean divergences of a product denoiser's marginals from the true ones."""
    mismatch = [
        {x: _coordinate_divergence(row, model[x]) for x, row in step.items()}
        for step, model in zip(noised.true_reverse, denoiser, strict=True)
    ]
    return _mean(noised, mismatch)


def _mean(noised: NoisedLaws, values: Iterable[dict[State, LogSum]]) -> LogSum:
    pairs = zip(noised.laws[1:], values, strict=True)
    return total(law[x] * value for law, step in pairs for x, value in step.items())


def _total_correlation(law: Law) -> LogSum:
    return total(map(entropy, oracle.marginals(law))) - entropy(law)


def _coordinate_divergence(p: Law, q: Law) -> LogSum:
    return total(map(kl, oracle.marginals(p), oracle.marginals(q)))


def noised_laws() -> Iterator[tuple[str, NoisedLaws]]:
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
        yield f"masked {num_values}^{num_dims}", NoisedLaws.of(law, masked)
        uniform = [oracle.uniform_kernel(r, num_values) for r in ratios]
        yield f"uniform {num_values}^{num_dims}", NoisedLaws.of(law, uniform)


@claim(
    "copula-bound-equality",
    "The product of the true marginals has the negative ELBO H(q_0) + sum_k E TC(x_{k-1} | x_k).",
    group="beyond",
    source="Liu et al., Discrete Copula Diffusion (ICLR 2025)",
    hypotheses="start q_T; masked and uniform noise, laws with and without zeros; without rounding",
)
def verify_equality(record: Record) -> None:
    for name, noised in noised_laws():
        left = negative_elbo(noised, noised.marginal_matching(), noised.laws[-1])
        record.equal(left, copula_bound(noised), 0, name)


@claim(
    "copula-bound",
    "Any other product denoiser has a larger negative ELBO, by sum_k E sum_d KL(true marginal || "
    "its marginal).",
    group="beyond",
    source="Liu et al., Discrete Copula Diffusion (ICLR 2025); the excess by the chain rule",
    hypotheses="start q_T; the denoiser is a product over the coordinates; without rounding",
)
def verify_bound(record: Record) -> None:
    rng = random.Random(1)
    for name, noised in noised_laws():
        bound = copula_bound(noised)
        for _ in range(2):
            denoiser = worse_denoiser(noised, rng)
            left = negative_elbo(noised, denoiser, noised.laws[-1])
            record.at_most(bound, left, name)
            record.equal(left, bound + marginal_mismatch(noised, denoiser), 0, name)


@claim(
    "copula-bound-prior",
    "A sampler that starts from a prior has a negative ELBO that is larger by KL(q_T || prior).",
    group="beyond",
    source="the chain rule",
    hypotheses="the prior is positive where q_T is; uniform noise, without rounding",
)
def verify_start(record: Record) -> None:
    for name, noised in noised_laws():
        if name.startswith("uniform"):
            q_t = noised.laws[-1]
            prior = dict.fromkeys(q_t, Fraction(1, len(q_t)))
            left = negative_elbo(noised, noised.marginal_matching(), prior)
            record.equal(left, copula_bound(noised) + kl(q_t, prior), 0, name)


@claim(
    "copula-bound-products-only",
    "False in general: the lower bound holds for every denoiser. The true reverse kernel, which is "
    "not a product, reaches H(q_0).",
    group="fails",
    source="this project",
    hypotheses="masked and uniform noise, start q_T",
)
def verify_products_only(record: Record) -> None:
    for name, noised in noised_laws():
        left = negative_elbo(noised, noised.true_reverse, noised.laws[-1])
        record.equal(left, entropy(noised.laws[0]), 0, f"the true reverse kernel, {name}")
        record.exceeds(
            copula_bound(noised), left, 0.001, f"bound above the true reverse kernel, {name}"
        )
