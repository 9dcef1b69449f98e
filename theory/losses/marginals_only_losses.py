r"""The losses of Di4C tell joint laws with equal marginals apart; continuous-time losses do not.

A mixture student and the product of its marginals have the same continuous-time loss
(`marginals_only`) and the same marginal parts. Their L_datapred, L_distil and L_consis differ. Let
the joint law of a student be the true posterior $q_{0|t}$. Then

$$L_{datapred}(\mathrm{product}) - L_{datapred}(\mathrm{joint})
  = \mathbb{E}_{x_t \sim q_t}\, \mathrm{TC}\big(q_{0|t}(\cdot \mid x_t)\big),$$

where "product" is the product of its marginals. For two bits that always agree, masked noise and
the linear schedule this is $t^2 \log 2$. The loss measures the correlation that a product model
lacks. All numbers are exact: the library's losses take all of S^D as atoms.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from di4c import exact
from di4c.exact.laws import infer_num_dims
from di4c.likelihood import DenseMixture
from di4c.losses import LossTerms, Target, consistency_loss, data_loss
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import random_law


@dataclass(frozen=True)
class NoisedData:
    """A data law, the noise on it, and the times 0 < u < t at which the losses are taken."""

    process: ForwardProcess
    q_0: Tensor
    u: float
    t: float

    @property
    def num_dims(self) -> int:
        """The number of dimensions D."""
        return infer_num_dims(len(self.q_0), self.process.num_values)

    def target(self, laws: Tensor) -> Target:
        """For each x_t a law on all of S^D, (n, n), as the target of a loss."""
        marginals = exact.marginals(laws, self.num_dims, self.process.num_states)
        atoms = exact.states(self.num_dims, self.process.num_states)
        return Target(atoms.expand(len(laws), -1, -1), laws, marginals.log())

    def mean(self, values: Tensor, t: float) -> float:
        """The expectation over x_t ~ q_t of one value per state."""
        law = exact.forward_law(self.process, self.q_0, t)
        return (law @ torch.where(law > 0, values, 0.0)).item()


@dataclass(frozen=True)
class TabulatedMixture:
    """A student with one mixture for every state at times u and t.

    The weights are (L,), the components (L, n, D, S) at each of the two data.
    """

    weights: Tensor
    at_u: Tensor
    at_t: Tensor

    def product_of_marginals(self) -> "TabulatedMixture":
        """The student with the same marginals and independent coordinates."""
        at_u, at_t = (
            torch.tensordot(self.weights, table, 1)[None] for table in (self.at_u, self.at_t)
        )
        return TabulatedMixture(torch.ones(1, dtype=torch.float64), at_u, at_t)

    def mixture(self, table: Tensor) -> DenseMixture:
        """The mixture as the losses take it, one example per x_t."""
        return DenseMixture(table.transpose(0, 1).log(), self.weights.log())

    def kernel(self, table: Tensor) -> Tensor:
        """The law of x_0 given x_t, [x_t, x_0], dense."""
        return torch.tensordot(self.weights, exact.product_law(table), 1)


def data_prediction(data: NoisedData, student: TabulatedMixture) -> LossTerms:
    r"""$L_{datapred}$ at t in its two parts; one value per x_t."""
    target = data.target(exact.reverse_kernel(data.process, data.q_0, 0.0, data.t))
    return data_loss(student.mixture(student.at_t), target)


def distillation(data: NoisedData, student: TabulatedMixture) -> LossTerms:
    r"""$L_{distil}$ at u from the exact product teacher in its two parts; one value per x_u."""
    teacher = exact.posterior_marginals(data.process, data.q_0, 0.0, data.u)
    return consistency_loss(student.mixture(student.at_u), data.target(exact.product_law(teacher)))


def consistency(data: NoisedData, student: TabulatedMixture) -> LossTerms:
    r"""$L_{consis}(q_t, 0, u, t)$ in its two parts, target by the student; one value per x_t."""
    teacher = exact.posterior_marginals(data.process, data.q_0, data.u, data.t)
    laws = exact.product_kernel(teacher) @ student.kernel(student.at_u)
    return consistency_loss(student.mixture(student.at_t), data.target(laws))


def noised_data() -> Iterator[tuple[str, NoisedData]]:
    """Masked and uniform noise, D = 2 and 3, random data."""
    generator = torch.Generator().manual_seed(0)
    for (name, process), num_dims in itertools.product(
        (("masked", MaskedProcess(2)), ("uniform", UniformProcess(2))), (2, 3)
    ):
        q_0 = random_law(generator, process.num_values**num_dims, spread=1.5)
        yield f"{name}, D={num_dims}", NoisedData(process, q_0, 0.5, 0.8)


def random_student(data: NoisedData, seed: int) -> TabulatedMixture:
    """A student with three latents and random components.

    A coordinate of x_t that determines x_0 is kept.
    """
    generator = torch.Generator().manual_seed(seed)
    process, num_dims = data.process, data.num_dims
    x = exact.states(num_dims, process.num_states).expand(3, -1, -1)
    tables = []
    for time in (data.u, data.t):
        probs = random_law(generator, *x.shape, process.num_values, spread=3.0)
        tables.append(process.reverse(probs, x, 0.0, time))
    return TabulatedMixture(random_law(generator, 3), *tables)


def equal_bits_student() -> TabulatedMixture:
    """The true posterior of two bits that always agree, under masked noise.

    A coordinate copies the bit that is seen. If none is seen, the latent decides for both.
    """
    x = exact.states(2, 3)
    other = x.flip(1)
    guesses = [torch.where(x < 2, x, torch.where(other < 2, other, latent)) for latent in (0, 1)]
    table = torch.stack([torch.nn.functional.one_hot(guess, 3).double() for guess in guesses])
    return TabulatedMixture(torch.full((2,), 0.5, dtype=torch.float64), table, table)


def literal_loss(laws: Tensor, student: Tensor, num_dims: int) -> Tensor:
    """The whole loss KL(law || student) - TC(law), row by row in plain Python, (n,)."""
    size = round(len(laws) ** (1 / num_dims))
    values = []
    for law, row in zip(laws.tolist(), student.tolist(), strict=True):
        target = oracle.law_from(law, num_dims, size)
        divergence = oracle.kl(target, oracle.law_from(row, num_dims, size))
        values.append(divergence - oracle.total_correlation(target))
    return torch.tensor(values, dtype=torch.float64)


def _literal_consistency(data: NoisedData, student: TabulatedMixture) -> float:
    teacher = exact.posterior_marginals(data.process, data.q_0, data.u, data.t)
    laws = exact.product_kernel(teacher) @ student.kernel(student.at_u)
    values = literal_loss(laws, student.kernel(student.at_t), data.num_dims)
    return data.mean(values, data.t)


@claim(
    "marginals-only-di4c",
    "L_datapred, L_distil and L_consis tell a mixture from the product of its marginals.",
    group="paper",
    source="Losses",
    hypotheses="masked and uniform noise, D = 2, 3, exact losses. The marginal parts of the two "
    "models are equal",
)
def verify_separated(record: Record) -> None:
    for k, (what, data) in enumerate(noised_data()):
        joint = random_student(data, seed=k)
        product = joint.product_of_marginals()
        for loss, time in ((data_prediction, data.t), (distillation, data.u)):
            name = f"{loss.__name__}, {what}"
            a, b = loss(data, joint), loss(data, product)
            difference = (a.marginal - b.marginal).abs().nan_to_num().max().item()
            record.vanishes(difference, 1e-12, f"difference of the marginal parts, {name}")
            record.vanishes(
                b.correlation.abs().max().item(),
                1e-13,
                f"correlation part of the product, {name}",
            )
            gap = abs(data.mean(a.total, time) - data.mean(b.total, time))
            record.exceeds(gap, 0.0, 1e-3, f"difference of the whole losses, {name}")
        totals = [
            data.mean(consistency(data, student).total, data.t) for student in (joint, product)
        ]
        record.exceeds(
            abs(totals[0] - totals[1]), 0.0, 0.01, f"difference of the consistency losses, {what}"
        )
        for total, student in zip(totals, (joint, product), strict=True):
            literal = _literal_consistency(data, student)
            record.equal(total, literal, 1e-12, f"consistency against loops, {what}")


def conditional_entropy(data: NoisedData) -> float:
    r"""$H(x_0 \mid x_t) = H(x_0) + H(x_t \mid x_0) - H(x_t)$, the loss of the true posterior."""
    noise = data.process.transition(0.0, data.t)[: data.process.num_values]
    single = exact.marginals(data.q_0, data.num_dims, data.process.num_values)
    noised = exact.forward_law(data.process, data.q_0, data.t)
    forward = (single @ exact.entropy(noise)).sum()
    return (exact.entropy(data.q_0) + forward - exact.entropy(noised)).item()


@claim(
    "marginals-only-total-correlation",
    "L_datapred charges the product of the true marginals exactly E TC(q_{0|t}) more than the true "
    "posterior.",
    group="sharper",
    source="Losses; the difference: this project",
    hypotheses="masked and uniform noise, D = 2, 3. For two bits that always agree, masked noise "
    "and the linear schedule it is t^2 log 2",
)
def verify_total_correlation(record: Record) -> None:
    for what, data in noised_data():
        process, size = data.process, data.process.num_states
        for t in (0.1, 0.4, 0.9):
            at = NoisedData(process, data.q_0, t / 2, t)
            laws = exact.reverse_kernel(process, data.q_0, 0.0, t)
            table = exact.marginals(laws, data.num_dims, size)[None]
            product = TabulatedMixture(torch.ones(1, dtype=torch.float64), table, table)
            terms = data_loss(product.mixture(table), at.target(laws), control_variate=False)
            gap = at.mean(terms.total, t) - conditional_entropy(at)
            correlation = at.mean(exact.total_correlation(laws, data.num_dims, size), t)
            record.equal(gap, correlation, 1e-12, f"{what}, t={t}")
    equal_bits = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for t in (0.25, 0.5, 0.9):
        data = NoisedData(MaskedProcess(2), equal_bits, t / 2, t)
        joint = equal_bits_student()
        losses = [
            data.mean(data_prediction(data, student).total, t)
            for student in (joint.product_of_marginals(), joint)
        ]
        record.equal(losses[0] - losses[1], t**2 * math.log(2), 1e-14, f"two equal bits, t={t}")
